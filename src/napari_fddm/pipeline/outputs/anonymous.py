"""Remove names from an exported copy: the slide's, its folders', and people's.

File names of slides often contain names and case numbers of patients. A copy keeps the
slide's fingerprint, by which its owner finds the slide again. Readers become "reader 1",
"reader 2" … in the order in which they appear in the event log, and their label maps
"reader-1", "reader-2" … with the same numbers if the map is named like the reader.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from napari_fddm.core.files import discard_folder, storage_errors, write_json
from napari_fddm.core.outside.checked_json import read_checked, write_checked
from napari_fddm.core.outside.files import real_path
from napari_fddm.core.outside.json_files import read_json
from napari_fddm.pipeline.store import layout
from napari_fddm.pipeline.store.eventlog import EventLog
from napari_fddm.pipeline.store.repair import SET_ASIDE, rewrite_log

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

REMOVED = "…"
_PATH = re.compile(
    r"(?:[A-Za-z]:[\\/]|\\\\|(?<![\w.:/])/|\b[a-z][a-z0-9+.-]*://)[^'\",;:\n]+", re.IGNORECASE
)
"""Absolute paths and addresses, up to the next punctuation mark, as folder names have spaces."""
_SHORT = 3
"""Names of up to this many characters are not removed, because they are often ordinary words
or numbers; names with a suffix, such as file names, always are."""
_OURS = frozenset({"seq", "time", "kind", "edit", "definition", "rates", "labels_sha256"})
"""Fields of the event log that hold no text that a person typed."""
_TISSUE = frozenset({"auto", "all"})


def neutral_name(slide: Mapping[str, Any]) -> str:
    """Return the name of a slide in a copy: the start of its fingerprint."""
    return f"slide {str(slide.get('fingerprint', ''))[:12]}".strip()


def anonymize(copy: Path, source: Path) -> None:
    """Remove names of slide, folders and people from a copied store, in place.

    Parameters
    ----------
    copy : Path
        The copy's folder.
    source : Path
        The store it was copied from: its own name and folders are removed, too.

    Raises
    ------
    StoreError
        If the copy cannot be read or written.
    """
    place = copy / layout.OURS / layout.PROVENANCE
    about = read_checked(place, required=False)
    redactor = _Redactor(_names_to_remove(about, source))
    neutral = neutral_name(about.get("slide", {}))
    for holder in (about, about.get("run", {})):
        if "slide" in holder and "name" in holder["slide"]:
            holder["slide"] = {**redactor.redact(holder["slide"]), "name": neutral}
    if "run" in about:
        about["run"] = _redact_run(about["run"], redactor)
    write_checked(place, about)
    (copy / layout.OURS / layout.REPLACES).unlink(missing_ok=True)
    _rename_image(copy / "zarr.json", neutral)
    log = EventLog(copy / layout.OURS / layout.EVENTS)
    readers = _Readers(log.records())
    rewrite_log(log.path, lambda r: _redact_record(r, redactor, readers), readers.layer)
    discard_folder(copy / layout.OURS / SET_ASIDE)
    _rename_reader_maps(copy / "labels", readers)


class _Redactor:
    """Removes given names and every absolute path from texts."""

    def __init__(self, names: Iterable[str]) -> None:
        ordered = sorted(names, key=len, reverse=True)
        self._names = re.compile("|".join(map(re.escape, ordered)) or r"(?!)", re.IGNORECASE)

    def redact(self, value: Any) -> Any:
        """Return a JSON value with names removed from all its texts, keys included."""
        if isinstance(value, str):
            return _PATH.sub(REMOVED, self._names.sub(REMOVED, value))
        if isinstance(value, list):
            return [self.redact(item) for item in value]
        if isinstance(value, dict):
            return {self.redact(key): self.redact(item) for key, item in value.items()}
        return value


def _names_to_remove(about: Mapping[str, Any], source: Path) -> set[str]:
    name = str(about.get("slide", {}).get("name", ""))
    place = source.absolute()
    folders = {place, real_path(place)}
    found = {str(p) for folder in folders for p in (folder, folder.parent)}
    names = (name, place.name.removesuffix(layout.SUFFIX), *real_path(place).parts[-3:-1])
    for file in names:
        stem = file.split(".")[0]
        found |= {text for text in (file, stem) if len(text) > _SHORT or "." in text}
    return {text for text in found if text.strip("./\\")}


def _redact_run(run: Mapping[str, Any], redactor: _Redactor) -> dict[str, Any]:
    kept = {k: run[k] for k in ("slide", "model", "versions", "device", "dtype") if k in run}
    cleaned = {k: redactor.redact(v) for k, v in run.items() if k not in kept and k != "config"}
    result = {k: kept[k] if k in kept else cleaned.get(k) for k in run}
    if "config" in run:
        config = dict(run["config"])
        if config.get("tissue", "auto") not in _TISSUE:
            config["tissue"] = "mask"
        result["config"] = config
    if "name" in run.get("tissue", {}):
        result["tissue"] = {**run["tissue"], "name": "mask"}
    return result


def _rename_image(path: Path, name: str) -> None:
    values = read_json(path)
    for entry in values.get("attributes", {}).get("ome", {}).get("multiscales", []):
        entry["name"] = name
    write_json(path, values)


class _Readers:
    """Numbers people in the order in which they appear in an event log."""

    def __init__(self, records: Iterable[Mapping[str, Any]]) -> None:
        self._numbers: dict[str, int] = {}
        for record in records:
            self._number(record.get("reader"))

    def name(self, reader: Any) -> str:
        """Return the name of a reader in the copy; empty for an empty name."""
        return f"reader {self._number(reader)}" if reader else ""

    def layer(self, layer: str) -> str:
        """Return the name of a label map in the copy."""
        if not layer.startswith(layout.READER_PREFIX):
            return layer
        number = self._number(layer.removeprefix(layout.READER_PREFIX))
        return f"{layout.READER_PREFIX}{number}"

    def _number(self, reader: Any) -> int:
        if not reader:
            return 0
        return self._numbers.setdefault(str(reader), len(self._numbers) + 1)


def _rename_reader_maps(labels: Path, readers: _Readers) -> None:
    """Rename the readers' label maps to their numbers.

    In two steps, because the name of one map may be the number of another.
    """
    values = read_json(labels / "zarr.json")
    ome = values["attributes"]["ome"]
    renamed = {name: readers.layer(name) for name in ome["labels"]}
    ome["labels"] = list(renamed.values())
    moved = {old: new for old, new in renamed.items() if old != new}
    with storage_errors("write", labels):
        for old, new in moved.items():
            (labels / old).rename(labels / f".{new}")
        for new in moved.values():
            (labels / f".{new}").rename(labels / new)
            _rename_image(labels / new / "zarr.json", new)
    write_json(labels / "zarr.json", values)


def _redact_record(
    record: Mapping[str, Any], redactor: _Redactor, readers: _Readers
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in record.items():
        if key == "reader":
            result[key] = readers.name(value)
        elif key == "layer":
            result[key] = readers.layer(str(value))
        elif key == "maps":  # checksums by label map, in the record that begins a log anew
            result[key] = {readers.layer(layer): sum_ for layer, sum_ in value.items()}
        else:
            result[key] = value if key in _OURS else redactor.redact(value)
    return result
