"""What a copy for others must not tell: the slide's name, folders, and people's names.

File names of slides carry names and case numbers of patients. A copy keeps the
slide's fingerprint, by which its owner finds it again. Readers become "reader 1",
"reader 2" … in the order in which they appear in the event log, and their label maps
"reader-1", "reader-2" … with the same numbers where the map is named like the reader.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from napari_fddm.interop.files import read_json, storage_errors, whole_file, write_json
from napari_fddm.pipeline.store import layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

REMOVED = "…"
_PATH = re.compile(
    r"(?:[A-Za-z]:[\\/]|\\\\|(?<![\w.:/])/|\b[a-z][a-z0-9+.-]*://)[^'\",;:\n]+", re.IGNORECASE
)
"""Absolute paths and addresses, up to the next mark: folders have spaces in their names."""
_SHORT = 3
"""Names up to this length are ordinary words or numbers as often as not; a file name is
taken out with its suffix all the same."""
_OURS = frozenset({"seq", "time", "kind", "edit", "definition", "rates", "labels_sha256"})
"""Fields of the event log that hold nothing a person typed."""
_TISSUE = frozenset({"auto", "all"})


def neutral_name(slide: Mapping[str, Any]) -> str:
    """Return what a copy calls a slide: the start of its fingerprint."""
    return f"slide {str(slide.get('fingerprint', ''))[:12]}".strip()


def anonymize(copy: Path, source: Path) -> None:
    """Take names and folders out of a copied store, in place.

    Parameters
    ----------
    copy : Path
        The copy's folder.
    source : Path
        The store it was copied from: its own name and folders are taken out, too.

    Raises
    ------
    StoreError
        If the copy cannot be read or written.
    """
    place = copy / layout.OURS / layout.PROVENANCE
    about = read_json(place)
    words = _Words(_secrets(about, source))
    neutral = neutral_name(about.get("slide", {}))
    for holder in (about, about.get("run", {})):
        if "slide" in holder and "name" in holder["slide"]:
            holder["slide"] = {**words.without(holder["slide"]), "name": neutral}
    if "run" in about:
        about["run"] = _run_without(about["run"], words)
    write_json(place, about)
    (copy / layout.OURS / layout.REPLACES).unlink(missing_ok=True)
    _rename_image(copy / "zarr.json", neutral)
    readers = _Readers(copy / layout.OURS / layout.EVENTS)
    _rewrite_log(copy / layout.OURS / layout.EVENTS, words, readers)
    if _rename_reader_maps(copy / "labels", readers):
        # It names the maps; without it they are derived again from the log.
        (copy / layout.OURS / layout.SYNCED).unlink(missing_ok=True)


class _Words:
    """Takes given names, and every absolute path, out of texts."""

    def __init__(self, secrets: Iterable[str]) -> None:
        ordered = sorted(secrets, key=len, reverse=True)
        self._names = re.compile("|".join(map(re.escape, ordered)) or r"(?!)", re.IGNORECASE)

    def without(self, value: Any) -> Any:
        """Return a JSON value with all its texts cleaned, keys included."""
        if isinstance(value, str):
            return _PATH.sub(REMOVED, self._names.sub(REMOVED, value))
        if isinstance(value, list):
            return [self.without(item) for item in value]
        if isinstance(value, dict):
            return {self.without(key): self.without(item) for key, item in value.items()}
        return value


def _secrets(about: Mapping[str, Any], source: Path) -> set[str]:
    name = str(about.get("slide", {}).get("name", ""))
    place = source.absolute()
    folders = {place, place.resolve()}
    found = {str(p) for folder in folders for p in (folder, folder.parent)}
    names = (name, place.name.removesuffix(layout.SUFFIX), *place.resolve().parts[-3:-1])
    for file in names:
        stem = file.split(".")[0]
        found |= {text for text in (file, stem) if len(text) > _SHORT or "." in text}
    return {text for text in found if text.strip("./\\")}


def _run_without(run: Mapping[str, Any], words: _Words) -> dict[str, Any]:
    kept = {k: run[k] for k in ("slide", "model", "versions", "device", "dtype") if k in run}
    cleaned = {k: words.without(v) for k, v in run.items() if k not in kept and k != "config"}
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
    """Numbers people in the order in which an event log names them."""

    def __init__(self, log: Path) -> None:
        self._numbers: dict[str, int] = {}
        if log.exists():
            for record in _records(log):
                self._number(record.get("reader"))

    def name(self, reader: Any) -> str:
        """Return what a copy calls a reader; nothing if none is named."""
        return f"reader {self._number(reader)}" if reader else ""

    def layer(self, layer: str) -> str:
        """Return what a copy calls a label map."""
        if not layer.startswith(layout.READER_PREFIX):
            return layer
        number = self._number(layer.removeprefix(layout.READER_PREFIX))
        return f"{layout.READER_PREFIX}{number}"

    def _number(self, reader: Any) -> int:
        if not reader:
            return 0
        return self._numbers.setdefault(str(reader), len(self._numbers) + 1)


def _records(log: Path) -> Iterator[dict[str, Any]]:
    with storage_errors("read", log), log.open("rb") as file:
        for line in file:
            try:
                yield json.loads(line)
            except ValueError:
                return  # it was being written while the store was copied


def _rewrite_log(path: Path, words: _Words, readers: _Readers) -> None:
    if not path.exists():
        return
    with whole_file(path) as cleaned, cleaned.open("w", encoding="utf-8", newline="\n") as file:
        for record in _records(path):
            file.write(json.dumps(_record_without(record, words, readers), ensure_ascii=False))
            file.write("\n")


def _rename_reader_maps(labels: Path, readers: _Readers) -> bool:
    """Give maps of readers their numbers: folders, listing and the name inside.

    Returns whether there were any to rename.

    Two steps, because somebody's id may be another one's number.
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
    return bool(moved)


def _record_without(record: Mapping[str, Any], words: _Words, readers: _Readers) -> dict[str, Any]:
    result = {}
    for key, value in record.items():
        if key == "reader":
            result[key] = readers.name(value)
        elif key == "layer":
            result[key] = readers.layer(str(value))
        else:
            result[key] = value if key in _OURS else words.without(value)
    return result
