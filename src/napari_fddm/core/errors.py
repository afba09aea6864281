"""The exceptions of napari-fddm: each says what went wrong, where and, as a hint, what to do."""

from __future__ import annotations

from typing import Any


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
    """The pixel size of a slide is missing or implausible."""


class WeightsError(FddmError):
    """A model's files are missing, damaged or do not fit the model."""


class DownloadNeededError(WeightsError):
    """A model needs a file from the Hugging Face hub, which is fetched only if the user says so."""


class StoreError(FddmError):
    """A working store cannot be created, read or written."""


class SettingsDifferError(StoreError):
    """A run would continue an analysis that was made with other settings.

    Parameters
    ----------
    message, hint : str
        As of every error.
    changes : tuple of Change
        What differs (`core.provenance`).
    stored : dict
        The provenance of the stored analysis.
    corrected : bool
        Whether it holds corrections of a person.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        changes: tuple[Any, ...] = (),
        stored: dict[str, Any] | None = None,
        corrected: bool = False,
    ) -> None:
        super().__init__(message, hint=hint)
        self.changes = changes
        self.stored = stored or {}
        self.corrected = corrected

    @property
    def corrections_fit(self) -> bool:
        """Whether the new analysis has the same slide and label grid."""
        return not {change.what for change in self.changes} & {"slide", "mpp", "label_mpp"}

    def __reduce__(self) -> tuple[object, ...]:
        """Keep everything when the error crosses a process border."""
        return _rebuild_differing, (
            self.message,
            self.hint,
            self.changes,
            self.stored,
            self.corrected,
        )


def _rebuild_differing(
    message: str, hint: str, changes: tuple[Any, ...], stored: dict[str, Any], corrected: bool
) -> SettingsDifferError:
    return SettingsDifferError(
        message, hint=hint, changes=changes, stored=stored, corrected=corrected
    )


class ConfigError(FddmError):
    """A setting has a value that is not allowed."""


class DataError(FddmError):
    """A manifest, an annotation or a set of training data is invalid."""


class TrainingError(FddmError):
    """A training run cannot start or continue."""


class EngineError(FddmError):
    """The engine process stopped or could not start."""


class PixelsGoneError(FddmError):
    """The window no longer serves the pixels of a layer, so nothing more can be read."""
