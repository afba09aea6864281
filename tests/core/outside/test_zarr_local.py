"""Zarr in a folder: only regular files within it are read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr

from napari_fddm.core.errors import StoreError
from napari_fddm.core.outside.zarr_local import RegularFiles

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    array = zarr.create_array(tmp_path / "a.zarr", shape=(4, 4), chunks=(2, 4), dtype="u1")
    array[:] = 7
    return tmp_path / "a.zarr"


def test_regular_files_are_read_also_through_a_link_to_the_folder(folder: Path) -> None:
    link = folder.with_name("link.zarr")
    link.symlink_to(folder)
    assert np.asarray(zarr.open_array(RegularFiles(link), mode="r")[:]).tolist() == [[7] * 4] * 4


def test_a_link_within_the_folder_is_read(folder: Path) -> None:
    (folder / "c/1/0").unlink()
    (folder / "c/1/0").symlink_to(folder / "c/0/0")
    assert zarr.open_array(RegularFiles(folder), mode="r")[3, 3] == 7


@pytest.mark.skipif(os.name == "nt", reason="there are no such files")
@pytest.mark.parametrize("kind", ["pipe", "device", "link", "linked folder"])
def test_other_files_are_refused_at_once(folder: Path, kind: str) -> None:
    place = folder / "c/1/0"
    place.unlink()
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "0").write_bytes(bytes(8))
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "device":
        place.symlink_to("/dev/zero")
    elif kind == "link":
        place.symlink_to(outside / "0")
    else:
        place.parent.rmdir()
        place.parent.symlink_to(outside)
    array = zarr.open_array(RegularFiles(folder), mode="r")
    assert array[0, 0] == 7
    with pytest.raises(StoreError, match=r"c/1/0 in a\.zarr is a (pipe|link)"):
        array[3, 3]
