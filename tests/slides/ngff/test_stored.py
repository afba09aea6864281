"""Which chunks of a level are stored, in every layout that zarr has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from napari_fddm.core.outside.zarr_local import RegularFiles
from napari_fddm.slides.ngff.storecache import CachedStore
from napari_fddm.slides.ngff.stored import StoredChunks, count_chunks, stored_chunks

if TYPE_CHECKING:
    from pathlib import Path

LAYOUTS: dict[str, dict[str, Any]] = {
    "v3": {"zarr_format": 3},
    "v3, keys of v2": {"zarr_format": 3, "chunk_key_encoding": {"name": "v2", "separator": "."}},
    "v2, dots": {"zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "."}},
    "v2, slashes": {"zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}},
    "shards": {"zarr_format": 3, "shards": (3, 64, 64)},
}


def write(folder: Path, layout: str) -> None:
    """Write 3 channels of 100 × 80 px in chunks of 32 px, of which two places are left out."""
    group = zarr.open_group(folder, mode="w", zarr_format=LAYOUTS[layout]["zarr_format"])
    options = {k: v for k, v in LAYOUTS[layout].items() if k != "zarr_format"}
    array = group.create_array("0", shape=(3, 100, 80), chunks=(1, 32, 32), dtype="u1", **options)
    image = np.full((3, 100, 80), 9, np.uint8)
    image[:, 32:64, :32] = 0  # no channel is stored where all of it is the fill value
    image[1, 64:96, 64:] = 0  # nor one of the three channels
    array[...] = image


RIGHT = np.ones((4, 3), bool)
RIGHT[1, 0] = RIGHT[2, 2] = False


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("lists", [True, False])
def test_chunks_that_were_not_stored_are_found(tmp_path: Path, layout: str, lists: bool) -> None:
    write(tmp_path / "a.zarr", layout)
    store = CachedStore(RegularFiles(tmp_path / "a.zarr"), lists=lists)
    array = zarr.open_group(store, mode="r")["0"]
    found = stored_chunks(array, ("c", "y", "x"))
    np.testing.assert_array_equal(found.grid, RIGHT)
    assert (found.chunk, found.shape, found.missing) == ((32, 32), (100, 80), 2)
    assert count_chunks(array) == 3 * 4 * 3


def test_a_shard_that_is_cut_off_or_missing_has_no_chunks(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr", "shards")
    (tmp_path / "a.zarr/0/c/0/0/0").write_bytes(b"cut")
    (tmp_path / "a.zarr/0/c/0/1/1").unlink()
    array = zarr.open_group(RegularFiles(tmp_path / "a.zarr"), mode="r")["0"]
    found = stored_chunks(array, ("c", "y", "x"))
    assert found.grid.tolist() == [[0, 0, 1], [0, 0, 1], [1, 1, 0], [1, 1, 0]]


def test_a_cell_counts_if_all_of_it_is_stored() -> None:
    level = StoredChunks(RIGHT, (32, 32), (100, 80))
    np.testing.assert_array_equal(level.mask((100, 80))[::32, ::32], RIGHT)
    assert level.mask((100, 80)).sum() == 100 * 80 - 32 * 32 - 32 * 16
    assert level.mask((2, 2)).tolist() == [[False, True], [False, False]]
    assert level.mask((1, 1)).tolist() == [[False]]
