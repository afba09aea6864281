"""A log file with one JSON object per line, which an interrupted program can continue."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_fddm.core.files import write_atomic

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunLog:
    """A log on disk.

    Attributes
    ----------
    path : Path
        The file.
    """

    path: Path

    def append(self, **fields: Any) -> None:
        """Add one line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(fields, ensure_ascii=False) + "\n")

    def records(self) -> list[dict[str, Any]]:
        """Return the fields of every complete line; none if there is no file."""
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue  # a killed process has written a part of the line
        return found

    def rewind(self, step: int) -> None:
        """Remove the lines of steps after a step, which the checkpoint does not hold."""
        kept = [r for r in self.records() if int(r.get("step", 0)) <= step]
        text = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in kept)
        write_atomic(self.path, text)
