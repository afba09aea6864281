"""How far a long job of the command line has come: an event for progress bars."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JobProgress:
    """Some units of a job are done.

    Attributes
    ----------
    what : str
        What was done last, e.g. the name of an image or the loss of a step.
    done, total : int
        Units done so far, and units of the whole job.
    """

    what: str
    done: int
    total: int
