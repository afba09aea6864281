"""Stage 2 over a slide: which regions, in which order, and what the labels rest on."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core.config import AnalysisConfig
from napari_fddm.core.errors import EngineError, WeightsError
from napari_fddm.core.events import RegionRefined, StageDone, StageStarted
from napari_fddm.core.geometry import Region, Window
from napari_fddm.core.merging import labels_from_cells
from napari_fddm.core.tiling import RegionGrid, TileGrid, regions_for, tiles_needed
from napari_fddm.diffusion import BrownianBridgeScheduler
from napari_fddm.models import LoadedModel, load_model
from napari_fddm.models.memory import HalvingBatches
from napari_fddm.pipeline.stage1 import CellMaps
from napari_fddm.pipeline.stage2 import Refiner, stage
from napari_fddm.pipeline.stage2.refiner import REGION_BATCH, input_scale
from napari_fddm.pipeline.stage2.stage import RefinedMap, refine_events
from tests.support.runs import drain

if TYPE_CHECKING:
    from pathlib import Path

    from napari_fddm.core.geometry import MapGeometry

GRID = TileGrid((16 * 256 - 40, 21 * 256 - 3), 1.0, 1.0)  # 3 by 4 regions
WHOLE = Window(0, 0, *GRID.shape)


class Echo:
    """A refiner that gives back y, and notes how it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[Window]] = []
        self.batches = HalvingBatches(REGION_BATCH, "regions")

    def refine(self, source: np.ndarray, features: np.ndarray, windows: list[Window]) -> np.ndarray:
        assert source.shape == (len(windows), 7, 64, 64)
        assert features.shape == (len(windows), 6, 64, 64)
        self.asked.append(list(windows))
        return source


class Contrary(Echo):
    """A refiner whose answer differs from region to region, so that overlaps count."""

    def refine(self, source: np.ndarray, features: np.ndarray, windows: list[Window]) -> np.ndarray:
        shifts = [(w.y // 48 * 5 + w.x // 48 * 3) % 7 for w in windows]
        return np.stack([np.roll(y, n, axis=0) for y, n in zip(source, shifts, strict=True)])


def random_maps(analyzed: np.ndarray | None = None, seed: int = 0) -> CellMaps:
    maps = CellMaps.empty(GRID, 7)
    rng = np.random.default_rng(seed)
    analyzed = np.ones(GRID.shape, bool) if analyzed is None else analyzed
    for row, col in np.argwhere(analyzed):
        probs = rng.dirichlet(np.full(7, 0.3), 65).astype(np.float32)
        maps.put(
            int(row),
            int(col),
            probs[0],
            probs[1:].T.reshape(7, 8, 8),
            rng.random((6, 8, 8), np.float32),
        )
    return maps


def refine(
    maps: CellMaps, tiles: Window, labels: MapGeometry, refiner: object | None = None
) -> tuple[list[RegionRefined], np.ndarray, list[object]]:
    """Refine a window; return the region events, the labels they add up to, and all events."""
    refined = RefinedMap(maps, tiles, labels)
    events, _ = drain(refine_events(refiner or Echo(), refined))
    regions = [e for e in events if isinstance(e, RegionRefined)]
    found = np.zeros(labels.shape, np.uint8)
    for event in regions:
        found[event.window.slices] = event.labels
    return regions, found, events


some_windows = st.builds(
    lambda y, x, h, w: Window(y, x, h, w).clipped(GRID.shape),
    st.integers(0, 15),
    st.integers(0, 20),
    st.integers(1, 16),
    st.integers(1, 21),
)


@given(some_windows)
def test_the_regions_of_a_window_are_those_within_one_tile_of_it(tiles: Window):
    grid = RegionGrid(GRID.shape)
    around = tiles.dilated(1).clipped(GRID.shape)
    expected = []
    for row, col in np.ndindex(grid.shape):
        common = np.zeros(GRID.shape, int)
        common[grid.tile_window(row, col).clipped(GRID.shape).slices] += 1
        common[around.slices] += 1
        if (common == 2).any():
            expected.append((row, col))
    assert regions_for(GRID.shape, tiles) == expected


@given(some_windows)
def test_the_tiles_that_a_window_needs_are_those_of_its_regions(tiles: Window):
    needed = np.zeros(GRID.shape, bool)
    grid = RegionGrid(GRID.shape)
    for row, col in regions_for(GRID.shape, tiles):
        for y, x in np.ndindex(8, 8):
            place = (6 * row + y, 6 * col + x)
            if place[0] < GRID.shape[0] and place[1] < GRID.shape[1]:
                needed[place] = True
    assert np.array_equal(tiles_needed(GRID.shape, tiles), needed)
    assert needed[tiles.slices].all()
    assert grid.shape == (3, 4)


def test_events_begin_progress_and_end():
    _, _, events = refine(random_maps(), WHOLE, GRID.label_geometry(4.0))
    assert events[0] == StageStarted("refined", 12, "regions")
    assert isinstance(events[-1], StageDone)
    assert [(e.done, e.total) for e in events[1:-1]] == [(n, 12) for n in range(1, 13)]
    assert all(e.labels.shape == (e.window.height, e.window.width) for e in events[1:-1])


@pytest.mark.parametrize("label_mpp", [4.0, 3.0, 16.0])
def test_a_refiner_that_changes_nothing_gives_the_labels_of_stage_one(label_mpp: float):
    maps, labels = random_maps(), GRID.label_geometry(label_mpp)
    _, found, _ = refine(maps, WHOLE, labels)
    whole = Window(0, 0, *labels.shape)
    expected = labels_from_cells(maps.cell_probs, maps.cell_geometry, labels, whole)
    assert np.array_equal(found, expected)


def test_regions_are_asked_for_in_order_and_in_full_batches():
    echo = Echo()
    refine(random_maps(), WHOLE, GRID.label_geometry(8.0), echo)
    assert [len(batch) for batch in echo.asked] == [REGION_BATCH] * 3
    expected = [Window(48 * r, 48 * c, 64, 64) for r, c in np.ndindex(3, 4)]
    assert [w for batch in echo.asked for w in batch] == expected


def test_the_last_batch_is_padded_and_the_padding_is_not_merged():
    echo, maps = Echo(), random_maps()
    regions, found, _ = refine(maps, Window(0, 0, 2, 2), GRID.label_geometry(8.0), echo)
    assert len(regions) == 1
    assert [len(batch) for batch in echo.asked] == [REGION_BATCH]
    assert len(set(echo.asked[0])) == 1
    _, whole, _ = refine(maps, WHOLE, GRID.label_geometry(8.0))
    assert np.array_equal(found[:64, :64], whole[:64, :64])


@cache
def whole_slide(label_mpp: float) -> tuple[CellMaps, np.ndarray]:
    maps = random_maps()
    return maps, refine(maps, WHOLE, GRID.label_geometry(label_mpp), Contrary())[1]


@settings(max_examples=12)
@given(some_windows, st.sampled_from([8.0, 9.0]))
def test_p27_a_window_equals_the_crop_of_the_whole(tiles: Window, label_mpp: float):
    maps, whole = whole_slide(label_mpp)
    labels = GRID.label_geometry(label_mpp)
    regions, found, _ = refine(maps, tiles, labels, Contrary())
    wanted = labels.centers_in(maps.tile_geometry.region_of(tiles))
    assert np.array_equal(found[wanted.slices], whole[wanted.slices])
    outside = found.copy()
    outside[wanted.slices] = 0
    assert not outside.any()
    assert 1 <= len(regions) <= 12


@pytest.mark.parametrize("analyzed", ["all", "islands"])
def test_settled_rows_are_as_they_will_be_in_the_end(
    monkeypatch: pytest.MonkeyPatch, analyzed: str
):
    monkeypatch.setattr(stage, "REGION_BATCH", 1)
    tissue = np.ones(GRID.shape, bool)
    if analyzed == "islands":
        tissue[5:12, 3:] = False
    maps, labels = random_maps(tissue), GRID.label_geometry(8.0)
    refined, seen = RefinedMap(maps, WHOLE, labels), []
    for _ in refine_events(Contrary(), refined):
        settled = Region(0, 0, refined.settled_rows * 32, GRID.slide_shape[1])
        window = labels.centers_in(settled)
        probs = refined.probs(Window(0, 0, refined.settled_rows, 21 * 8))
        seen.append((window, refined.labels(window), probs))
    final, probs = seen[-1][1:]
    assert len({window for window, *_ in seen}) == 4
    for window, found, cells in seen:
        assert np.array_equal(found, final[window.slices])
        assert np.array_equal(cells, probs[:, : cells.shape[1]])
    assert probs.shape == (7, *maps.cell_geometry.shape)


def test_what_was_not_analyzed_stays_without_label():
    analyzed = np.zeros(GRID.shape, bool)
    analyzed[3:5, 2:9] = analyzed[15, 20] = True
    regions, found, _ = refine(random_maps(analyzed), WHOLE, GRID.label_geometry(4.0))
    expected = analyzed.repeat(64, axis=0).repeat(64, axis=1)
    assert np.array_equal(found != 0, expected[: found.shape[0], : found.shape[1]])
    # Regions without any analyzed tile are not computed.
    assert {e.total for e in regions} == {3}


def test_a_slide_without_tissue_has_no_region():
    empty = np.zeros(GRID.shape, bool)
    regions, found, events = refine(random_maps(empty), WHOLE, GRID.label_geometry(8.0))
    assert regions == []
    assert not found.any()
    assert events[0].total == 0


def test_labels_of_a_part_are_those_of_the_whole():
    maps, labels = random_maps(), GRID.label_geometry(4.0)
    refined = RefinedMap(maps, WHOLE, labels)
    drain(refine_events(Echo(), refined))
    whole = refined.labels(Window(0, 0, *labels.shape))
    for part in (Window(0, 0, 1, 1), Window(500, 700, 33, 61), Window(900, 0, 50, 1300)):
        assert np.array_equal(refined.labels(part), whole[part.slices])


# With a network ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> LoadedModel:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_FDDM_FLOAT32", "1")
        return load_model(str(tiny_model), "cpu")


def region_inputs(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.dirichlet(np.ones(7), (n, 64, 64)).transpose(0, 3, 1, 2)
    return y.astype(np.float32), rng.random((n, 6, 64, 64), np.float32)


WINDOWS = [Window(0, 48 * i, 64, 64) for i in range(4)]


@pytest.mark.parametrize("options", [{}, {"steps": 3}, {"steps": 3, "eta": 0.0}, {"samples": 2}])
def test_refined_values_are_probabilities_and_repeat(model: LoadedModel, options: dict[str, int]):
    refiner = Refiner(model, AnalysisConfig(**options))
    found = refiner.refine(*region_inputs(4), WINDOWS)
    assert found.shape == (4, 7, 64, 64)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert found.min() >= 0
    assert np.array_equal(found, refiner.refine(*region_inputs(4), WINDOWS))


def test_the_seed_and_the_place_key_the_noise(model: LoadedModel):
    source, features = (np.repeat(part, 4, axis=0) for part in region_inputs(1))
    first = Refiner(model, AnalysisConfig(steps=3))
    found = first.refine(source, features, WINDOWS)
    assert not np.array_equal(found[0], found[1])  # equal tissue at another place
    other = Refiner(model, AnalysisConfig(steps=3, seed=1)).refine(source, features, WINDOWS)
    assert not np.array_equal(found, other)
    shuffled = first.refine(source, features, WINDOWS[::-1])
    assert np.array_equal(shuffled[::-1], found)  # and nothing but the place


def test_samples_are_averaged(model: LoadedModel):
    inputs = region_inputs(4)
    mean = Refiner(model, AnalysisConfig(steps=3, samples=2)).refine(*inputs, WINDOWS)
    one = Refiner(model, AnalysisConfig(steps=3)).refine(*inputs, WINDOWS)
    assert not np.allclose(mean, one)
    # One step draws no noise, so that all samples are the same.
    single = Refiner(model, AnalysisConfig(samples=3)).refine(*inputs, WINDOWS)
    direct = Refiner(model, AnalysisConfig()).refine(*inputs, WINDOWS)
    np.testing.assert_allclose(single, direct, atol=1e-6)


def test_a_model_without_a_second_stage_is_refused(model: LoadedModel):
    card = model.card.model_copy(update={"refiner": None})
    with pytest.raises(WeightsError, match="no refiner"):
        Refiner(LoadedModel(model.folder, card, model.compute), AnalysisConfig())


def test_the_input_is_scaled_to_unit_variance():
    scheduler = BrownianBridgeScheduler(1000, 0.5)
    table = input_scale(scheduler)
    assert len(table) == 1001
    m = np.asarray(scheduler.mixing)
    rng = np.random.default_rng(0)
    x0, y = (np.eye(7)[rng.integers(0, 7, 20_000)][:, 0] for _ in range(2))
    for t in (0, 250, 500, 1000):
        spread = np.sqrt(2 * 0.5 * m[t] * (1 - m[t]))
        x = (1 - m[t]) * x0 + m[t] * y + spread * rng.standard_normal(20_000)
        assert 0.6 < (x * table[t]).std() < 1.4


def test_the_steps_of_a_config_reach_the_network(model: LoadedModel):
    refiner = Refiner(model, AnalysisConfig(steps=4, samples=3))
    calls = []
    network = refiner.denoiser
    refiner.denoiser = lambda *args: (calls.append(int(args[1][0])), network(*args))[1]
    refiner.refine(*region_inputs(4), WINDOWS)
    assert len(calls) == 12
    assert calls[:4] == calls[4:8] == sorted(calls[:4], reverse=True)
    assert calls[0] == 1000


@pytest.mark.parametrize("change", [{"head": "linear"}, {"schedule": "bbdm"}])
def test_the_card_says_how_the_bridge_is_read(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch, change: dict[str, str]
):
    inputs = region_inputs(4)
    plain = Refiner(model, AnalysisConfig(steps=2)).refine(*inputs, WINDOWS)
    refiner = model.card.refiner.model_copy(update=change)
    monkeypatch.setattr(model, "card", model.card.model_copy(update={"refiner": refiner}))
    found = Refiner(model, AnalysisConfig(steps=2)).refine(*inputs, WINDOWS)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-4)
    assert found.min() >= 0
    assert not np.allclose(found, plain, atol=1e-3)


def test_regions_that_do_not_fit_into_memory_are_refined_in_halves(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
):
    maps, labels = random_maps(), GRID.label_geometry(8.0)
    window = Window(0, 0, 8, 8)
    expected = refine(maps, window, labels, Refiner(model, AnalysisConfig(steps=2)))[1]
    refiner = Refiner(model, AnalysisConfig(steps=2))
    forward = refiner.denoiser.forward
    sizes = []

    def small(sample: torch.Tensor, *more: torch.Tensor) -> torch.Tensor:
        sizes.append(len(sample))
        if len(sample) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(sample, *more)

    monkeypatch.setattr(refiner.denoiser, "forward", small)
    _, found, events = refine(maps, window, labels, refiner)
    assert sizes[:5] == [4, 2, 2, 2, 2]  # two steps for each half
    assert set(sizes[1:]) == {2}
    assert (found == expected).mean() > 0.999  # the same noise; the last digits may differ
    assert events[-1].batch_size == 2
    assert "4 regions" in events[-1].notes[0]


def test_a_region_that_does_not_fit_at_all_ends_the_run(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
):
    def none_fits(*_: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("DefaultCPUAllocator: not enough memory")

    refiner = Refiner(model, AnalysisConfig())
    monkeypatch.setattr(refiner.denoiser, "forward", none_fits)
    with pytest.raises(EngineError, match="one of the regions"):
        refiner.refine(*region_inputs(4), WINDOWS)
