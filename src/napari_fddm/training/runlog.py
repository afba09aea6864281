"""The record of a training: one line of JSON per entry, which a resumed run continues."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class RunLog:
    """A JSONL file of a training.

    Parameters
    ----------
    path : Path
        File; made when the first line is written.
    start : int
        First step of this run. Lines of this step and later ones are dropped: the
        process that wrote them was stopped before its checkpoint, and they come again.
    """

    def __init__(self, path: Path, start: int = 0) -> None:
        self._path = path
        if path.exists():
            kept = [line for line in _whole_lines(path) if line.get("step", -1) < start]
            temporary = path.with_suffix(".part")
            temporary.write_text("".join(map(_text, kept)), encoding="utf-8")
            temporary.replace(path)

    def write(self, **entry: Any) -> None:
        """Append a line."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_text(entry))


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return a log's entries; a last line that was cut off is left out."""
    return _whole_lines(path)


def _text(entry: dict[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False) + "\n"


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:  # written while the process was killed
            continue
    return entries
