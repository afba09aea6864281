"""zarr arrays whose sizes cannot be, or whose chunks are damaged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from napari_fddm.core.errors import SlideError, StoreError
from napari_fddm.core.outside.zarr_files import (
    child_array,
    open_group,
    open_zip_store,
    read_whole_array,
    read_window,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "a.zarr"
    group = zarr.create_group(path)
    group.create_array("a", data=np.arange(64, dtype="u1").reshape(8, 8), chunks=(4, 4))
    group.create_group("inner")
    return path


def change(folder: Path, **values: Any) -> None:
    path = folder / "a" / "zarr.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_an_array_is_read(folder: Path):
    array = child_array(open_group(folder), "a", dims=(2,))
    assert read_window(array, np.s_[1:3, 2:4]).tolist() == [[10, 11], [18, 19]]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"shape": [10**18, 8]}, "impossible shape"),
        ({"shape": [8, 0]}, "impossible shape"),
        ({"shape": [8]}, "cannot be read as a zarr array|has 1 dimensions"),
        (
            {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [10**6, 10**6]}}},
            "chunks of 953,674 MiB",
        ),
        ({"data_type": "no type"}, "cannot be read as a zarr array"),
    ],
)
def test_what_cannot_be_is_refused_before_it_is_read(folder: Path, values, words: str):
    change(folder, **values)
    with pytest.raises(SlideError, match=words):
        child_array(open_group(folder, error=SlideError), "a", dims=(2,), error=SlideError)


def test_what_is_missing_or_no_array_is_named(folder: Path):
    group = open_group(folder)
    with pytest.raises(StoreError, match="/b cannot be read as a zarr array: 'b' is missing"):
        child_array(group, "b")
    with pytest.raises(StoreError, match="inner is no zarr array"):
        child_array(group, "inner")


def test_a_damaged_chunk_is_said_with_its_array(folder: Path):
    (folder / "a" / "c" / "0" / "0").write_bytes(b"damaged")
    with pytest.raises(StoreError, match=r"a\.zarr/a cannot be read as zarr data"):
        read_window(child_array(open_group(folder), "a"), np.s_[:2, :2])


def test_a_folder_that_is_no_group_is_said(tmp_path: Path):
    with pytest.raises(StoreError, match="cannot be read as a zarr group"):
        open_group(tmp_path / "none")


def test_an_array_that_is_too_large_to_read_whole_is_refused(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "a")
    large = group.create_array("0", shape=(10**6, 10**6), chunks=(512, 512), dtype="uint8")
    with pytest.raises(StoreError, match="too many to read"):
        read_whole_array(large, "a/0")
    small = group.create_array("1", shape=(3, 4), chunks=(3, 4), dtype="uint8")
    assert np.array_equal(read_whole_array(small, "a/1"), np.zeros((3, 4)))


def test_a_zipped_store_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.ozx").write_bytes(b"no archive")
    with (
        pytest.raises(StoreError, match="cannot be read as a zipped zarr store"),
        open_zip_store(tmp_path / "a.ozx"),
    ):
        pass
