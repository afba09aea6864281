"""Refinement with strokes: they keep their class, and what is far from them is as before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_fddm.core.config import AnalysisConfig
from napari_fddm.core.geometry import MapGeometry, Window
from napari_fddm.core.tiling import TileGrid
from napari_fddm.diffusion import BrownianBridgeScheduler, sample_bridge
from napari_fddm.diffusion.sampling import Clamp
from napari_fddm.models import LoadedModel, load_model
from napari_fddm.pipeline.stage1 import CellMaps
from napari_fddm.pipeline.stage2 import Refiner
from napari_fddm.pipeline.stage2.clamping import CellClamp
from napari_fddm.pipeline.stage2.refiner import clamp_like
from napari_fddm.pipeline.stage2.stage import RefinedMap, refine_events
from tests.support.runs import drain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GRID = TileGrid((10 * 256, 9 * 256), 1.0, 1.0)  # 2 by 2 regions, which overlap
CELLS = GRID.cell_geometry.shape
CONFIGS = {
    "one step": AnalysisConfig(),
    "three noisy steps": AnalysisConfig(steps=3),
    "without noise": AnalysisConfig(steps=3, eta=0.0),
    "two samples": AnalysisConfig(steps=2, samples=2),
}


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Iterator[LoadedModel]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_FDDM_FLOAT32", "1")
        yield load_model(str(tiny_model), "cpu")


@pytest.fixture(scope="module")
def maps() -> CellMaps:
    maps = CellMaps.empty(GRID, 7)
    rng = np.random.default_rng(5)
    for row, col in np.ndindex(GRID.shape):
        probs = rng.dirichlet(np.full(7, 0.5), 65).astype(np.float32)
        features = rng.random((6, 8, 8), np.float32)
        maps.put(row, col, probs[0], probs[1:].T.reshape(7, 8, 8), features)
    return maps


def refined(model, maps, config, clamp=None) -> np.ndarray:
    merged = RefinedMap(maps, Window(0, 0, *GRID.shape), GRID.label_geometry(8.0))
    drain(refine_events(Refiner(model, config), merged, clamp))
    return merged.accumulator.merged().probs


def some_strokes() -> CellClamp:
    labels = np.zeros(CELLS, np.uint8)
    labels[5:9, 5:30] = 3
    labels[40:60, 50:54] = 2  # in the overlap of the regions
    labels[-1, -1] = 7
    return CellClamp(labels)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_painted_cells_have_their_class_for_certain(model, maps, config):
    clamp = some_strokes()
    probs = refined(model, maps, config, clamp)
    rows, cols = np.nonzero(clamp.labels)
    expected = np.eye(7, dtype=np.float32)[clamp.labels[rows, cols] - 1].T
    assert np.array_equal(probs[:, rows, cols], expected)
    assert np.allclose(probs.sum(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_without_strokes_it_is_the_ordinary_refinement(model, maps, config):
    nothing = CellClamp(np.zeros(CELLS, np.uint8))
    assert np.array_equal(refined(model, maps, config, nothing), refined(model, maps, config))


def test_strokes_change_their_surroundings_and_nothing_in_other_regions(model, maps):
    labels = np.zeros(CELLS, np.uint8)
    labels[2:8, 2:8] = 3  # seen by the first region alone: rows 0…63, columns 0…63
    before = refined(model, maps, CONFIGS["one step"])
    after = refined(model, maps, CONFIGS["one step"], CellClamp(labels))
    free = labels == 0
    assert not np.array_equal(before[:, free], after[:, free])
    assert np.array_equal(before[:, 64:], after[:, 64:])
    assert np.array_equal(before[:, :, 64:], after[:, :, 64:])


@pytest.mark.parametrize("head", ["softmax", "linear"])
def test_every_step_of_the_bridge_keeps_what_is_known(head):
    """A network that says the contrary of what is known is not believed in any step."""
    scheduler = BrownianBridgeScheduler(100, 0.5)
    generator = torch.Generator().manual_seed(0)
    y = torch.rand((2, 7, 8, 8), generator=generator).softmax(dim=1)
    labels = np.zeros((2, 8, 8), np.uint8)
    labels[:, 2:5, 3:6] = 4
    clamp = clamp_like(labels, y)
    y = clamp.put(y)
    contrary = torch.zeros_like(y)
    contrary[:, 5] = 10.0
    seen = []
    found = sample_bridge(
        lambda *_: contrary,
        scheduler,
        y,
        y,
        num_inference_steps=5,
        noise=lambda _: torch.randn(y.shape, generator=generator),
        head=head,
        clamp=clamp,
        on_step=lambda _, stepped: seen.append(stepped.pred_original_sample),
    )
    known = clamp.known.expand_as(y)
    assert len(seen) == 5
    for x0 in (*seen, found):
        assert torch.equal(x0[known], clamp.original[known])
    if head == "softmax":  # elsewhere it is
        assert (found[:, 5][labels == 0] > 0.5).all()


def test_a_clamp_of_nothing_leaves_every_bit():
    values = torch.rand((1, 7, 4, 4))
    clamp = clamp_like(np.zeros((1, 4, 4), np.uint8), values)
    assert isinstance(clamp, Clamp)
    assert torch.equal(clamp.put(values), values)


@given(st.integers(-70, 90), st.integers(-70, 90), st.integers(1, 80), st.integers(1, 80))
def test_a_window_of_it_is_a_crop_and_0_beyond_the_map(y, x, height, width):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 8, (50, 40)).astype(np.uint8)
    found = CellClamp(labels).window(Window(y, x, height, width))
    padded = np.zeros((300, 300), np.uint8)
    padded[100:150, 100:140] = labels
    assert np.array_equal(found, padded[100 + y :, 100 + x :][:height, :width])


def test_strokes_count_where_they_cover_half_a_cell():
    cells = MapGeometry((8, 8), 64.0, 0.5)
    labels = MapGeometry((64, 64), 8.0, 0.5)
    painted = np.zeros(labels.shape, np.uint8)
    painted[0:8, 0:4] = 3  # half of cell (0, 0)
    painted[8:16, 0:3] = 3  # less of cell (1, 0)
    painted[16:24, 0:8] = 2
    painted[16:24, 0:3] = 5  # cell (2, 0): most of it is 2
    known = CellClamp.of_strokes(painted, labels, cells).labels
    expected = np.zeros((8, 8), np.uint8)
    expected[0, 0], expected[2, 0] = 3, 2
    assert np.array_equal(known, expected)
    nothing = CellClamp.of_strokes(np.zeros_like(painted), labels, cells)
    assert not nothing.labels.any()
