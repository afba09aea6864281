"""An edited tissue mask outlasts everything but its slide, and a run reads it cell by cell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_fddm.core.errors import StoreError
from napari_fddm.core.geometry import MapGeometry
from napari_fddm.core.tissue import MASK_UM
from napari_fddm.pipeline.run.analyze import analyze
from napari_fddm.pipeline.store import AnalysisStore, default_store_path
from napari_fddm.pipeline.tissue import read_user_mask
from napari_fddm.pipeline.tissue.kept_mask import (
    CURRENT,
    KeptMask,
    earlier_mask,
    mask_folder,
    read_kept_mask,
    remove_kept_mask,
    write_kept_mask,
    write_run_mask,
)
from tests.support.runs import PATCH, PIXELS, WatchedSlide, changed, drain

GRID = MapGeometry.covering((1000, 1610), MASK_UM / 0.5, 0.5)
FOUND = np.zeros(GRID.shape, bool)
FOUND[5:20, 5:30] = True
EDITED = FOUND.copy()
EDITED[:10, :10], EDITED[15:18, 20:25] = True, False
KEPT = KeptMask.of(EDITED, FOUND, GRID.cell_mm2)


def test_a_kept_mask_is_found_again(tmp_path):
    folder = tmp_path / "new" / "folder"
    write_kept_mask(folder, KEPT, GRID, "abc")
    again = read_kept_mask(folder, GRID, "abc")
    assert np.array_equal(again.mask, EDITED)
    assert (again.added_mm2, again.removed_mm2) == (KEPT.added_mm2, KEPT.removed_mm2)
    assert KEPT.added_mm2 == pytest.approx((EDITED & ~FOUND).sum() * GRID.cell_mm2)
    assert KEPT.removed_mm2 == pytest.approx((FOUND & ~EDITED).sum() * GRID.cell_mm2)
    remove_kept_mask(folder)
    assert read_kept_mask(folder, GRID, "abc") is None
    remove_kept_mask(folder)


def test_the_mask_of_another_slide_is_not_taken(tmp_path):
    write_kept_mask(tmp_path, KEPT, GRID, "abc")
    assert read_kept_mask(tmp_path, GRID, "other") is None
    other = MapGeometry.covering((1000, 1610), MASK_UM / 0.25, 0.25)
    assert read_kept_mask(tmp_path, other, "abc") is None


def test_a_damaged_file_is_an_error_that_names_it(tmp_path):
    path = write_kept_mask(tmp_path, KEPT, GRID, "abc")
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(StoreError, match=CURRENT):
        read_kept_mask(tmp_path, GRID, "abc")


@settings(max_examples=40, deadline=None)
@given(st.integers(100, 3000), st.integers(100, 3000), st.sampled_from([0.23, 0.5, 0.92]))
def test_a_run_reads_the_very_same_cells(tmp_path_factory, height, width, mpp):
    """Also where the last cells hang over the slide."""
    grid = MapGeometry.covering((height, width), MASK_UM / mpp, mpp)
    mask = np.random.default_rng(height).random(grid.shape) < 0.5
    mask[0, 0] = True
    kept = KeptMask.of(mask, ~mask, grid.cell_mm2)
    path = write_run_mask(tmp_path_factory.mktemp("m"), kept, grid, "abc")
    given_mask = read_user_mask(str(path))
    given_mask.check_fits((height, width), "slide", mpp)
    assert np.array_equal(given_mask.on_grid(grid, (height, width)).mask, mask)


def test_masks_lie_beside_the_store(tmp_path):
    slide = tmp_path / "a.svs"
    store, folder = default_store_path(slide, "abc"), mask_folder(slide, "abc")
    assert folder.parent == store.parent
    assert folder.name == "a.svs.fddm.tissue"


def test_an_earlier_mask_is_given_again_only_if_it_is_the_same(tmp_path):
    path = write_run_mask(tmp_path, KEPT, GRID, "abc")
    run = {"config": {"tissue": str(path)}, "tissue": read_user_mask(str(path)).record()}
    assert earlier_mask(run) == str(path)
    assert earlier_mask({"config": {"tissue": "all"}, "tissue": {"method": "all"}}) == "all"
    assert earlier_mask({}) == "auto"
    Image.fromarray(FOUND).save(path)
    assert earlier_mask(run) is None
    path.unlink()
    assert earlier_mask(run) is None


def test_revising_with_an_edited_mask_drops_adds_and_reuses_tiles(tmp_path, model):
    """Removed tissue has no labels and is counted; only added tiles are classified."""
    slide = WatchedSlide(PIXELS)
    store = tmp_path / "s.fddm.ome.zarr"
    drain(analyze(slide, store=store, model=model, config=PATCH))
    with AnalysisStore.open(store) as opened:
        before, left_out = opened.maps.probability_map("patch").labels, opened.provenance
    grid = MapGeometry.covering((2600, 2600), MASK_UM, 1.0)
    found = np.zeros(grid.shape, bool)
    found[25:138, 25:138] = True
    mask = found.copy()
    mask[:, 80:] = False  # from tile column 5 on
    mask[4:12, 4:12] = True  # within tile (0, 0), which is glass
    path = write_run_mask(tmp_path, KeptMask.of(mask, found, grid.cell_mm2), grid, "x")
    model.batches.clear()
    config = changed(stage="patch", tissue=str(path))
    drain(analyze(slide, store=store, model=model, config=config, revise=True))
    with AnalysisStore.open(store) as opened:
        now, areas = opened.maps.probability_map("patch").labels, opened.provenance
        assert not opened.maps.labels()[:, 200:].any()
    assert now[0, 0] != 0
    assert not now[:, 5:].any()
    assert np.array_equal(now[1:9, 1:5], before[1:9, 1:5])
    assert sum(model.batches) <= PATCH.batch_size  # one batch: the added tile, padded
    assert areas["tissue_excluded_mm2"] > left_out["tissue_excluded_mm2"]
