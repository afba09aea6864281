"""Arrays whose size cannot be are refused before anything of them is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr

from napari_fddm.core.errors import StoreError
from napari_fddm.core.outside.zarr_files import open_zip_store, read_whole_array

if TYPE_CHECKING:
    from pathlib import Path


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
