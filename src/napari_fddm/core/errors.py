"""The errors users meet. Each says what, where and, in its hint, what to do."""

from __future__ import annotations


class FddmError(Exception):
    """Base of every error napari-fddm raises on purpose.

    Parameters
    ----------
    message : str
        What went wrong and where, in one sentence.
    hint : str
        What the user can do about it, in one sentence.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return the message and the hint on one line."""
        return f"{self.message} {self.hint}".strip()

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the hint when the error crosses a process border."""
        return _rebuild, (type(self), self.message, self.hint)


def _rebuild(cls: type[FddmError], message: str, hint: str) -> FddmError:
    return cls(message, hint=hint)


class SlideError(FddmError):
    """A slide cannot be opened or read."""


class MppError(FddmError):
    """The pixel size of a slide is missing or not believable."""


class WeightsError(FddmError):
    """A model's files are missing, damaged or do not fit."""


class StoreError(FddmError):
    """A working store cannot be created, read or written."""


class ConfigError(FddmError):
    """A setting has a value it cannot have."""


class EngineError(FddmError):
    """The engine process stopped or could not start."""


class RunCancelledError(FddmError):
    """A run was cancelled by the user; finished work is kept."""


class PixelsGoneError(FddmError):
    """The window no longer gives the pixels of a layer: nothing more can be read."""
