"""What the commands print: names and notes from outside cannot steer the terminal."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from typing import TYPE_CHECKING, Any

import typer

from napari_fddm.core.outside.text import json_text, visible

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

LOG_FORMAT = "%(asctime)s %(message)s"


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text with control characters as escapes.

    Parameters
    ----------
    text : str
        One line or more.
    err : bool
        Print it to standard error.
    nl : bool
        Whether a line break follows.
    """
    typer.echo(visible(text), err=err, nl=nl)


def say_json(value: Any) -> None:
    """Print a value as JSON."""
    typer.echo(json_text(value, indent=2))


def show_help(text: str) -> None:
    """Print a help text of ours, which may hold colors."""
    typer.echo(text)


class VisibleFormatter(logging.Formatter):
    """Formats log records with control characters as escapes."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        return visible(super().format(record))


def log_to_terminal() -> None:
    """Print what is logged, with the time, to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(VisibleFormatter(LOG_FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def guard_terminal() -> None:
    """Let nothing that is printed fail or steer the terminal, for the rest of the process.

    An output that is not UTF-8 gets escapes for the characters that it has not. Warnings,
    tracebacks, and errors that are logged without `log_to_terminal`, are printed as `say` does.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(VisibleFormatter())
    warnings.formatwarning = _visibly(warnings.formatwarning)
    sys.excepthook = _print_traceback


def _visibly(formatted: Callable[..., str]) -> Callable[..., str]:
    if getattr(formatted, "visibly", False):
        return formatted

    def shown(*arguments: Any, **named: Any) -> str:
        return visible(formatted(*arguments, **named))

    shown.visibly = True  # type: ignore[attr-defined]
    return shown


def _print_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    say("".join(traceback.format_exception(kind, error, trace)), err=True, nl=False)
