"""What a copy for others must not tell: the slide's name, folders, and people's names.

File names of slides carry names and case numbers of patients. A copy keeps the
slide's fingerprint, by which its owner finds it again. Readers become "reader 1",
"reader 2" … in the order in which they appear in the event log.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from napari_fddm.interop.files import read_json, storage_errors, write_json
from napari_fddm.pipeline import layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

REMOVED = "…"
_PATH = re.compile(
    r"(?:[A-Za-z]:[\\/]|\\\\|(?<![\w.:/])/|\b[a-z][a-z0-9+.-]*://)[^'\",;:\n]+", re.IGNORECASE
)
"""Absolute paths and addresses, up to the next mark: folders have spaces in their names."""
_SHORT = 3
"""Names up to this length are ordinary words or numbers as often as not; a file name is
taken out with its suffix all the same."""
_OURS = frozenset({"seq", "time", "kind", "layer", "edit", "definition", "rates", "labels_sha256"})
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
    _rename_image(copy / "zarr.json", neutral)
    _rewrite_log(copy / layout.OURS / layout.EVENTS, words)


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


def _rewrite_log(path: Path, words: _Words) -> None:
    if not path.exists():
        return
    readers: dict[str, str] = {}
    cleaned = path.with_name(f"{path.name}.part")
    with (
        storage_errors("write", path),
        path.open("rb") as old,
        cleaned.open("w", encoding="utf-8") as new,
    ):
        for line in old:
            try:
                record = json.loads(line)
            except ValueError:
                break  # it was being written while the store was copied
            new.write(json.dumps(_record_without(record, words, readers), ensure_ascii=False))
            new.write("\n")
    with storage_errors("write", path):
        cleaned.replace(path)


def _record_without(
    record: Mapping[str, Any], words: _Words, readers: dict[str, str]
) -> dict[str, Any]:
    result = {}
    for key, value in record.items():
        if key == "reader":
            result[key] = readers.setdefault(value, f"reader {len(readers) + 1}") if value else ""
        else:
            result[key] = value if key in _OURS else words.without(value)
    return result
