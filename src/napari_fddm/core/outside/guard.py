"""`reading`: whatever goes wrong while something from outside is read becomes one sentence."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_fddm.core.errors import DataError, FddmError
from napari_fddm.core.outside.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONGEST_REASON = 240
"""Characters of another library's message that are passed on."""

_OS_HINTS = {
    errno.ENOENT: "Check the path; is the drive connected?",
    errno.ENOTDIR: "Check the path; is the drive connected?",
    errno.ENAMETOOLONG: "Check the name.",
    errno.EACCES: "Check the permissions of the file.",
    errno.EPERM: "Check the permissions of the file.",
    errno.EIO: "The disk or network share failed; check its connection.",
    errno.ESTALE: "The disk or network share failed; check its connection.",
    errno.EMFILE: "Too many files are open: close other programs.",
    errno.ELOOP: "Check where the links lead.",
}


@contextmanager
def reading(
    what: str, place: Path | str, *, error: type[FddmError] = DataError, hint: str = ""
) -> Iterator[None]:
    """Turn every exception of the block into one error of ours.

    Everything that reads bytes, text or metadata which this program has not just made does
    it inside: damaged files make other people's parsers raise anything at all.

    Parameters
    ----------
    what : str
        What the place is read as, with its article if it needs one: "GeoJSON", "a mask".
    place : Path or str
        The file, record or URL, as the message names it.
    error : type of FddmError
        The error to raise.
    hint : str
        What to do about a damaged file. Errors of the operating system bring their own.

    Raises
    ------
    FddmError
        Of the type `error`. Our own errors pass unchanged.
    """
    try:
        yield
    except FddmError:
        raise
    except OSError as fault:
        if fault.errno is None:  # many libraries raise it for damaged content
            raise _error(what, place, fault, error, hint) from fault
        raise error(
            f"{visible(place)} cannot be read: {reason(fault)}.",
            hint=_OS_HINTS.get(fault.errno, hint),
        ) from fault
    except Exception as fault:
        raise _error(what, place, fault, error, hint) from fault


def _error(
    what: str, place: Path | str, fault: Exception, error: type[FddmError], hint: str
) -> FddmError:
    return error(f"{visible(place)} cannot be read as {what}: {reason(fault)}.", hint=hint)


def reason(fault: BaseException) -> str:
    """Return what an exception says as one line of plain text, without a full stop."""
    if isinstance(fault, RecursionError):
        return "it is nested too deeply"
    if isinstance(fault, MemoryError):
        return "it needs more memory than there is"
    if isinstance(fault, OSError) and fault.strerror:
        return visible(fault.strerror)
    if isinstance(fault, KeyError):
        return f"{visible(str(fault))} is missing"
    text = visible(" ".join(str(fault).split())) or type(fault).__name__
    short = text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]} …"
    return short.rstrip(".")
