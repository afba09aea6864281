"""A log file with one JSON object per line, which an interrupted program can continue."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_fddm.core.errors import DataError
from napari_fddm.core.files import write_atomic
from napari_fddm.core.outside.files import MOST_TEXT, read_bytes
from napari_fddm.core.outside.json_files import as_object, parse_json
from napari_fddm.core.outside.text import visible

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)


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
        """Return the fields of every complete line; none if there is no file.

        A damaged line is passed over with a warning, except the last one: a process that was
        killed leaves a part of a line.
        """
        if not self.path.exists():
            return []
        data = read_bytes(self.path, "a log", most=MOST_TEXT)
        lines = data.split(b"\n")
        found = []
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                found.append(self._record(line))
            except DataError as error:
                if number < len(lines):
                    log.warning(
                        "line %d of %s is damaged and passed over: %s",
                        number,
                        visible(self.path),
                        error.message,
                    )
        return found

    def _record(self, line: bytes) -> dict[str, Any]:
        record = as_object(
            parse_json(line, self.path, error=DataError, constants=True), self.path, error=DataError
        )
        step = record.get("step", 0)
        if not isinstance(step, int):
            raise DataError(f"its step is {step!r}.")
        return record

    def rewind(self, step: int) -> None:
        """Remove the lines of steps after a step, which the checkpoint does not hold."""
        kept = [r for r in self.records() if int(r.get("step", 0)) <= step]
        text = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in kept)
        write_atomic(self.path, text)
