"""Opening and closing of a slide: a context manager that refuses reads after it was closed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

from napari_fddm.core.errors import SlideError


class Closable(ABC):
    """A slide that is open from its making until `close`."""

    _closed = False

    @property
    @abstractmethod
    def name(self) -> str:
        """File name, for messages."""

    def close(self) -> None:
        """Release what is held; reading afterwards raises SlideError."""
        self._closed = True

    def __enter__(self) -> Self:
        """Return the slide itself; leaving the block closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the slide."""
        self.close()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise closed_error(self.name)


def closed_error(name: str) -> SlideError:
    """Return the error of reading from a slide that was closed."""
    return SlideError(f"{name} was closed and cannot be read.", hint="Open it again.")
