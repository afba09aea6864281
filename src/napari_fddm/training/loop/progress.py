"""How far a long job has come."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """A part of the work is done.

    Attributes
    ----------
    what : str
        E.g. the image.
    done, total : int
        Units.
    """

    what: str
    done: int
    total: int
