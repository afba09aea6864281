from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from napari_fddm.core.errors import DataError
from napari_fddm.core.outside.tiff_directories import check_directories

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = np.zeros((64, 64, 3), np.uint8)


def checked(path: Path) -> tuple[str, ...]:
    with path.open("rb") as file:
        return check_directories(file, path, path.stat().st_size)


def write(path: Path, pages: int = 2, **options: bool) -> Path:
    with tifffile.TiffWriter(path, **options) as writer:
        for _ in range(pages):
            writer.write(IMAGE, photometric="rgb", tile=(32, 32), metadata=None, subifds=1)
            writer.write(IMAGE[::2, ::2], photometric="rgb", tile=(32, 32), metadata=None)
    return path


def place_of(path: Path, page: int, tag: str) -> tuple[int, str]:
    """Return where a tag begins and the byte order."""
    with tifffile.TiffFile(path) as file:
        return file.pages[page].tags[tag].offset, file.byteorder


def put(path: Path, place: int, values: bytes) -> Path:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(values)
    return path


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}], ids=str)
def test_whole_files_pass(tmp_path: Path, options: dict[str, bool]) -> None:
    assert checked(write(tmp_path / "a.tif", **options)) == ()


def test_what_is_no_tiff_is_left_to_the_library(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"no TIFF at all")
    assert checked(path) == ()


@pytest.mark.parametrize("value", [10**9, 2**32 - 1])
@pytest.mark.parametrize("tag", ["TileOffsets", "TileByteCounts", "SubIFDs"])
def test_counts_beyond_the_file_are_refused(tmp_path: Path, tag: str, value: int) -> None:
    path = write(tmp_path / "a.tif")
    place, _ = place_of(path, 0, tag)
    put(path, place + 4, struct.pack("<I", value))
    with pytest.raises(DataError, match=rf"a\.tif .*{value} values of its tag {tag}"):
        checked(path)


def test_what_lies_beyond_the_file_in_a_later_image_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif")
    place, _ = place_of(path, 1, "TileOffsets")
    put(path, place + 4, struct.pack("<I", 10**9))
    (note,) = checked(path)
    assert note.startswith("the file is incomplete: image 2 cannot be read, the 1000000000 values")


@pytest.mark.parametrize(
    ("tag", "value", "said"),
    [
        ("TileWidth", 2**31 - 1, "tiles of 2147483647 × 32 px"),
        ("TileLength", 0, "tiles of 32 × 0 px"),
        ("ImageWidth", 0, "0 as its ImageWidth"),
        ("ImageLength", 2**32 - 1, "as its ImageLength"),
    ],
)
def test_impossible_sizes_are_refused(tmp_path: Path, tag: str, value: int, said: str) -> None:
    path = write(tmp_path / "a.tif")
    place, _ = place_of(path, 0, tag)
    put(path, place + 2, struct.pack("<HII", 4, 1, value))
    with pytest.raises(DataError, match=said):
        checked(path)


def directories(path: Path) -> list[tuple[int, int]]:
    """Return the place of each directory and of its pointer to the next."""
    with tifffile.TiffFile(path) as file:
        return [(page.offset, page.offset + 2 + 12 * len(page.tags)) for page in file.pages]


@pytest.mark.parametrize("target", [0, 1])
def test_a_circle_is_refused(tmp_path: Path, target: int) -> None:
    path = write(tmp_path / "a.tif")
    found = directories(path)
    put(path, found[1][1], struct.pack("<I", found[target][0]))
    with pytest.raises(DataError, match="circle"):
        checked(path)


def test_a_chain_that_ends_in_the_void_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif")
    put(path, directories(path)[0][1], struct.pack("<I", 10**9))
    (note,) = checked(path)
    assert note == "the file is incomplete: the directory of image 2 is missing: it is cut off."


def test_a_missing_level_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", 1)
    place, _ = place_of(path, 0, "SubIFDs")
    put(path, place + 8, struct.pack("<I", 10**9))
    (note,) = checked(path)
    assert "incomplete" in note
    assert "level 1 of image 1" in note


def test_a_file_without_any_directory_is_refused(tmp_path: Path) -> None:
    path = put(write(tmp_path / "a.tif"), 4, struct.pack("<I", 10**9))
    with pytest.raises(DataError, match="cut off"):
        checked(path)
