"""Tells which files and folders are slides, without opening them, and finds a slide's neighbors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_fddm.core.errors import FddmError, SlideError
from napari_fddm.core.outside.json_files import read_json
from napari_fddm.pipeline.store.layout import OURS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SLIDE_SUFFIXES = (
    ".svs", ".tif", ".tiff", ".ndpi", ".scn", ".bif", ".dcm", ".dicom", ".mrxs", ".vms", ".vmu",
)  # fmt: skip
SMALL_FILE = 256 * 1024
"""Bytes. A smaller TIFF is no slide; napari's own reader opens it."""

_TIFF_MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_TIFF_SUFFIXES = SLIDE_SUFFIXES[:6]
_DICOM_SUFFIXES = (".dcm", ".dicom", "")
_MAX_DICOM_FILES = 64
"""So many files of a folder are examined, at most, to find a DICOM slide."""


def is_slide_file(path: Path) -> bool:
    """Return whether a file may be a slide, judged by its name, size and first bytes."""
    suffix = path.suffix.lower()
    if suffix not in SLIDE_SUFFIXES or not path.is_file():
        return False
    if suffix in (".tif", ".tiff") and path.stat().st_size < SMALL_FILE:
        return False
    if suffix in _TIFF_SUFFIXES:
        return _head(path)[:4] in _TIFF_MAGIC
    if suffix in (".dcm", ".dicom"):
        return is_dicom_slide(path)
    return True


def is_slide_folder(path: Path) -> bool:
    """Return whether a folder is an OME-Zarr image or holds a DICOM slide; a store is not one."""
    return path.is_dir() and not is_store(path) and (is_omezarr(path) or has_dicom_slide(path))


def is_slide(path: Path) -> bool:
    """Return whether a file or folder may be a slide; False if it cannot be read."""
    try:
        return is_slide_folder(path) if path.is_dir() else is_slide_file(path)
    except (OSError, FddmError):
        return False


def is_store(path: Path) -> bool:
    """Return whether a folder is the store of an analysis, or an export of one."""
    return (path / OURS).is_dir()


def is_omezarr(path: Path) -> bool:
    """Return whether a folder holds an OME-Zarr image, judged by its attributes."""
    for marker in ("zarr.json", ".zattrs"):
        if (path / marker).is_file():
            found = read_json(path / marker)
            block = found.get("attributes", found)
            block = block.get("ome", block) if isinstance(block, dict) else {}
            return "multiscales" in block or "bioformats2raw.layout" in block
    return False


def has_dicom_slide(path: Path) -> bool:
    """Return whether a folder holds a DICOM slide, judged by its first files."""
    files = (p for p in sorted(path.iterdir()) if p.suffix.lower() in _DICOM_SUFFIXES)
    return any(is_dicom_slide(p) for _, p in zip(range(_MAX_DICOM_FILES), files, strict=False))


def is_dicom_slide(path: Path) -> bool:
    """Return whether a file is part of a DICOM whole-slide image."""
    from napari_fddm.slides.openslide import detect_vendor

    if not path.is_file() or _head(path)[128:132] != b"DICM":
        return False
    try:
        return detect_vendor(path) == "dicom"
    except SlideError:
        return False  # only OpenSlide can read DICOM here


def neighbors(path: Path) -> tuple[list[Path], list[Path]]:
    """Return the slides before and after this one in its folder, nearest first.

    Parameters
    ----------
    path : Path
        File or folder of a slide.

    Returns
    -------
    before, after : list of Path
        In natural order: "case 2" before "case 10".
    """
    try:
        entries = sorted(path.parent.iterdir(), key=natural_key)
    except OSError:
        return [], []
    mine = natural_key(path)
    before = [p for p in entries if natural_key(p) < mine and is_slide(p)]
    after = [p for p in entries if natural_key(p) > mine and is_slide(p)]
    return before[::-1], after


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Return a sort key that compares numbers in names by value, and equal names as text."""
    return [*_parts(path.name), (2, 0, path.name)]


def _parts(name: str) -> Iterator[tuple[int, int, str]]:
    for part in re.split(r"(\d+)", name.casefold()):
        if part.isdecimal():
            yield (0, int(part), "")
        elif part:
            yield (1, 0, part)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(132)
