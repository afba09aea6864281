"""Which tiles of a TIFF were stored, where another library reads its pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.slides.tiff_stored import tiles_of_levels
from tests.support.slides import binned, forget_tile, stained, write_tiff

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = stained(300, 260)


def test_each_level_has_the_tiles_of_its_page(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [IMAGE, binned(IMAGE, 4)])
    forget_tile(path, 7)
    (fine, none, coarse), note = tiles_of_levels(path, [(300, 260), (150, 130), (75, 65)])
    assert fine is not None
    assert np.argwhere(~fine.stored).tolist() == [[1, 2]]
    assert none is None
    assert coarse is not None
    assert coarse.stored.all()
    assert note == ""


def test_tiles_of_levels_that_are_laid_together_are_counted(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [IMAGE])
    assert tiles_of_levels(path, [(999, 999)]) == ([None], "")
    forget_tile(path, 7)
    found, note = tiles_of_levels(path, [(999, 999)])
    assert found == [None]
    assert note.startswith("1 of 25 tiles of the file were never stored")


def test_other_files_have_no_tiles_and_damaged_directories_are_said(tmp_path: Path) -> None:
    other = tmp_path / "a.dcm"
    other.write_bytes(b"no TIFF at all")
    assert tiles_of_levels(other, [(9, 9)]) == ([None], "")
    damaged = tmp_path / "a.tif"
    damaged.write_bytes(b"II*\0" + b"\xff" * 60)
    found, note = tiles_of_levels(damaged, [(9, 9)])
    assert found == [None]
    assert note.startswith("whether all tiles were stored could not be checked")
