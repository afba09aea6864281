"""What a finished run leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class AnalysisResult:
    """What a finished run leaves.

    Attributes
    ----------
    store : Path
        The working store, a valid OME-Zarr.
    report : dict
        As `rate --json` prints it.
    notes : tuple of str
        What the user should know, e.g. tiles that could not be read.
    """

    store: Path
    report: dict[str, Any]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"store": str(self.store), "report": self.report, "notes": list(self.notes)}
