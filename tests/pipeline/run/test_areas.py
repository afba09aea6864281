"""No mm² of a slide is lost without being told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core.geometry import MapGeometry
from napari_fddm.core.tiling import TileGrid
from napari_fddm.core.tissue import MASK_UM, TissueMask
from napari_fddm.pipeline.run.areas import (
    NotStored,
    Unreadable,
    compute_areas,
    mm2_per_tile,
    unreadable_error,
)
from napari_fddm.pipeline.stage1.classify import UnreadableTiles

GRID = TileGrid((5000, 7000), 0.5, 1.0)  # 10 by 14 tiles, the last ones cut
TISSUE = MapGeometry.covering(GRID.slide_shape, MASK_UM / 0.5, 0.5)
LABELS = GRID.label_geometry(8.0)


def mask(share: float, seed: int = 0) -> TissueMask:
    cells = np.random.default_rng(seed).random(TISSUE.shape) < share
    cells[:, : TISSUE.shape[1] // 3] = False
    return TissueMask(cells, TISSUE, "auto")


@given(st.tuples(st.integers(1, 9000), st.integers(1, 9000)), st.sampled_from([0.25, 0.4987, 1.1]))
def test_tiles_share_out_the_slide(size: tuple[int, int], mpp: float):
    grid = TileGrid(size, mpp, 1.0)
    per_tile = mm2_per_tile(grid)
    assert per_tile.shape == grid.shape
    assert (per_tile > 0).all()
    assert per_tile.sum() == pytest.approx(size[0] * size[1] * (mpp / 1000) ** 2)
    last = grid.tile(grid.shape[0] - 1, grid.shape[1] - 1).valid
    assert per_tile[-1, -1] == pytest.approx(last.height * last.width * (mpp / 1000) ** 2)


@settings(max_examples=20)
@given(st.floats(0, 1), st.integers(0, 99))
def test_a_slide_is_what_was_left_out_and_what_was_selected(share: float, seed: int):
    tissue = mask(share, seed)
    selected = tissue.tiles_to_analyze(GRID.geometry)
    lost = frozenset((int(r), int(c)) for r, c in np.argwhere(selected)[:3])
    none = NotStored(np.zeros(GRID.shape, bool))
    found = compute_areas(
        tissue, GRID, Unreadable(lost, "why"), none, np.zeros(LABELS.shape, np.uint8), LABELS
    )
    per_tile = mm2_per_tile(GRID)
    kept = selected.copy()
    for place in lost:
        kept[place] = False
    parts = found["tissue_excluded_mm2"] + found["unreadable_mm2"] + per_tile[kept].sum()
    assert parts == pytest.approx(found["slide_mm2"]) == pytest.approx(2.5 * 3.5)
    assert found["unreadable_tiles"] == len(lost)
    assert 0 <= found["tissue_mm2"] <= found["slide_mm2"]
    assert found["coverage"] in (0.0, None)


def test_a_tile_counts_as_unreadable_until_it_was_read():
    analyzed = np.zeros(GRID.shape, bool)
    first = Unreadable().updated(UnreadableTiles([(1, 1), (2, 5)], "torn"), analyzed)
    kept = Unreadable.stored({"unreadable": first.to_json()})
    assert kept == first
    analyzed[1, 1] = True
    later = kept.updated(UnreadableTiles([(3, 3)], "late"), analyzed)
    assert (later.places, later.reason) == ({(2, 5), (3, 3)}, "late")
    (note,) = later.notes(GRID)
    assert note.startswith("2 tiles (0.131 mm²) could not be read")
    cell = GRID.geometry.cell
    assert f"{2 * cell:.0f}, {5 * cell:.0f}; {3 * cell:.0f}, {3 * cell:.0f}; late" in note
    analyzed[:] = True
    assert later.updated(UnreadableTiles(), analyzed) == Unreadable()
    assert Unreadable().notes(GRID) == ()


def test_tiles_with_tissue_and_without_pixels():
    tissue = TissueMask(np.ones(TISSUE.shape, bool), TISSUE, "all")
    gaps = np.zeros(TISSUE.shape, bool)
    assert NotStored.of(tissue, None, GRID).count == 0
    assert NotStored.of(tissue, gaps, GRID).notes(GRID) == ()
    rows, cols = (GRID.geometry.cells_at(a, TISSUE.centers(a, np.arange(n)))
                  for a, n in enumerate(TISSUE.shape))  # fmt: skip
    gaps |= (rows == 2)[:, None] & np.isin(cols, [3, 4])[None, :]
    found = NotStored.of(tissue, gaps, GRID)
    assert np.argwhere(found.tiles).tolist() == [[2, 3], [2, 4]]
    assert found.mm2(GRID) == pytest.approx(2 * 0.256**2)
    (note,) = found.notes(GRID)
    assert note == "2 tiles (0.131 mm²) have no stored pixels and are not analyzed"
    bare = TissueMask(np.zeros(TISSUE.shape, bool), TISSUE, "auto")
    assert NotStored.of(bare, gaps, GRID).count == 0
    areas = compute_areas(
        tissue, GRID, Unreadable(), found, np.zeros(LABELS.shape, np.uint8), LABELS
    )
    assert (areas["not_stored_tiles"], areas["not_stored_mm2"]) == (2, found.mm2(GRID))


@pytest.mark.parametrize(("lost_mm2", "refused"), [(0.05, False), (0.0501, True)])
def test_five_percent_of_the_tissue_decide_and_not_of_the_tiles(lost_mm2: float, refused: bool):
    tissue = np.zeros(GRID.shape)
    tissue[0, 0], tissue[5, 5] = lost_mm2, 1.0 - lost_mm2
    looked_at = np.zeros(GRID.shape, bool)
    looked_at[5, 5] = True
    error = unreadable_error(
        UnreadableTiles([(0, 0)], "torn."), looked_at, tissue, "s.svs", "store"
    )
    assert (error is not None) == refused
    if error is not None:
        assert "s.svs: 1 of 2 tissue tiles cannot be read, 0.0501 mm² or 5%" in error.message
        assert "store" in error.hint


def test_many_damaged_tiles_with_hardly_any_tissue_do_not_end_a_run():
    tissue = np.full(GRID.shape, 0.0001)
    tissue[5] = 1.0
    found = UnreadableTiles([(0, c) for c in range(14)], "torn")
    looked_at = np.zeros(GRID.shape, bool)
    looked_at[5] = True
    assert unreadable_error(found, looked_at, tissue, "s", "store") is None
