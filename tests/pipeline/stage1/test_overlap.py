"""Overlapping tiles: what is averaged, with which weights, and on a grid of the whole slide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core.geometry import Region
from napari_fddm.core.tiling import TILE_PX, TileGrid
from napari_fddm.pipeline.run.analyze import analyze
from napari_fddm.pipeline.stage1 import CellMaps, classify_events
from napari_fddm.pipeline.stage1.overlap import ShiftedTiles, blended
from tests.support.runs import PIXELS, WatchedSlide, changed, contents, drain, mosaic

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.runs import CountingModel

overlaps = st.sampled_from([1, 16, 32, 100, 128])
sizes = st.tuples(st.integers(1, 1300), st.integers(1, 1300))


@given(sizes, overlaps)
def test_shifted_tiles_cover_the_slide_and_none_lies_beside_it(size, overlap: int):
    grid = TileGrid(size, 1.0, 1.0)
    shifted = ShiftedTiles.over(grid, overlap)
    found = {t for row, col in np.ndindex(grid.shape) for t in shifted.touching(row, col)}
    covered = np.zeros(size, bool)
    for tile in (shifted.tile(*t) for t in found):
        assert not tile.valid.is_empty
        y, x = int(tile.region.y), int(tile.region.x)
        covered[y : y + TILE_PX, x : x + TILE_PX] = True
    assert covered.all()


@given(sizes, overlaps, st.data())
def test_touching_agrees_with_brute_force(size, overlap: int, data: st.DataObject):
    grid = TileGrid(size, 1.0, 1.0)
    shifted = ShiftedTiles.over(grid, overlap)
    row = data.draw(st.integers(0, grid.shape[0] - 1))
    col = data.draw(st.integers(0, grid.shape[1] - 1))
    own = grid.tile(row, col).region
    expected = []
    for i, j in np.ndindex(20, 20):
        tile = shifted.tile(i, j)
        if not tile.valid.is_empty and not tile.region.intersection(own).is_empty:
            expected.append((i, j))
    assert shifted.touching(row, col) == expected


def painted(shifted: ShiftedTiles, answers, shape) -> tuple[np.ndarray, np.ndarray]:
    """Sums and counts on single pixels: the definition, without any matrix."""
    total, count = np.zeros((7, *shape)), np.zeros(shape)
    for (i, j), answer in answers.items():
        if answer is None:
            continue
        y, x = i * shifted.stride_px, j * shifted.stride_px
        field = answer[1].repeat(32, axis=1).repeat(32, axis=2)
        height, width = min(256, shape[0] - y), min(256, shape[1] - x)
        total[:, y : y + height, x : x + width] += field[:, :height, :width]
        count[y : y + height, x : x + width] += 1
    return total, count


@settings(max_examples=15)
@given(overlaps, st.integers(0, 2**32), st.sampled_from([(0, 0), (1, 1), (2, 1)]))
def test_cells_are_means_by_shared_area(overlap: int, seed: int, place: tuple[int, int]):
    grid = TileGrid((768, 768), 1.0, 1.0)
    shifted = ShiftedTiles.over(grid, overlap)
    rng = np.random.default_rng(seed)
    answers = {
        t: None if rng.random() < 0.1 else random_answer(rng) for t in shifted.touching(*place)
    }
    total, count = painted(shifted, answers, (768, 768))
    y, x = place[0] * 256, place[1] * 256
    blocks = [a[..., y : y + 256, x : x + 256] for a in (total, count)]
    by_cell = [a.reshape(*a.shape[:-2], 8, 32, 8, 32).sum(axis=(-3, -1)) for a in blocks]
    found = blended(shifted, *place, answers)
    if (by_cell[1] == 0).any():
        assert found is None
        return
    np.testing.assert_allclose(found[1], by_cell[0] / by_cell[1], atol=1e-6)
    weights = {t: shared_area(shifted, t, place) for t in answers}
    good = [(weights[t], a[0]) for t, a in answers.items() if a is not None]
    expected = sum(w * p for w, p in good) / sum(w for w, _ in good)
    np.testing.assert_allclose(found[0], expected, atol=1e-6)


def random_answer(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    probs = rng.dirichlet(np.ones(7), 65).astype(np.float32)
    return probs[0], probs[1:].T.reshape(7, 8, 8)


def shared_area(shifted: ShiftedTiles, t: tuple[int, int], place: tuple[int, int]) -> float:
    own = Region(place[0] * 256, place[1] * 256, 256, 256)
    shared = shifted.tile(*t).region.intersection(own)
    return shared.height * shared.width


def test_beyond_the_slide_is_background_and_damage_on_it_is_not_guessed():
    grid = TileGrid((258, 250), 1.0, 1.0)  # the second row has 2 px of the slide
    shifted = ShiftedTiles.over(grid, 128)
    answers = dict.fromkeys(shifted.touching(1, 0), random_answer(np.random.default_rng(0)))
    assert set(answers) == {(1, 0), (1, 1), (2, 0), (2, 1)}
    assert blended(shifted, 1, 0, {**answers, (2, 0): None}) is not None
    short = ShiftedTiles.over(grid, 16)
    assert short.touching(1, 0) == [(1, 0), (1, 1)]
    probs, cells = blended(short, 1, 0, dict.fromkeys(short.touching(1, 0), answers[1, 0]))
    np.testing.assert_allclose(cells.sum(axis=0), 1.0, atol=1e-6)
    np.testing.assert_allclose(probs.sum(), 1.0, atol=1e-6)
    assert (cells[0, :7] < 1).all()
    assert (cells[1:, 7] < 1).all()
    none = dict.fromkeys(short.touching(1, 0))
    assert blended(short, 1, 0, none) is None
    # Nothing else reaches the first cells of the tile, which lie on the slide.
    wide = ShiftedTiles.over(TileGrid((1000, 1000), 1.0, 1.0), 16)
    some = dict.fromkeys(wide.touching(1, 1), answers[1, 0])
    assert blended(wide, 1, 1, some) is not None
    assert blended(wide, 1, 1, {**some, (1, 1): None}) is None


class Positions:
    """A model whose cells answer with the mean red and green of their own pixels."""

    def classify(self, tiles_nhwc: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n = len(tiles_nhwc)
        cells = np.zeros((n, 7, 8, 8), np.float32)
        blocks = tiles_nhwc.reshape(n, 8, 32, 8, 32, 3).mean(axis=(2, 4)) / 255  # (n, 8, 8, 3)
        cells[:, 1:3] = blocks[..., :2].transpose(0, 3, 1, 2)
        return cells.mean(axis=(2, 3)), cells


@pytest.mark.parametrize("overlap", [16, 64])
def test_p25_a_position_coded_slide_stays_in_place_under_overlap(overlap: int):
    """Where more shifted tiles lie on one side, a mean moves by less than a quarter of a cell."""
    ramp = np.rint(np.arange(1024) / 1024 * 255).astype(np.float32)
    image = np.zeros((1024, 1024, 3), np.uint8)
    image[..., 0], image[..., 1] = ramp[:, None], ramp[None]
    grid = TileGrid((1024, 1024), 1.0, 1.0)
    maps = CellMaps.empty(grid, 7)
    indices = [(int(r), int(c)) for r, c in np.ndindex(grid.shape)]
    stage = classify_events(
        WatchedSlide(image), grid, indices, Positions(), maps, batch_size=5, overlap=overlap
    )
    drain(stage)
    truth = ramp.reshape(32, 32).mean(axis=1) / 255
    inner = slice(1, -1)  # the outermost cells average with nothing beyond the slide
    found = maps.cell_probs.astype(np.float32)
    np.testing.assert_allclose(found[1, inner, 5], truth[inner], atol=8 / 1024)
    np.testing.assert_allclose(found[2, 5, inner], truth[inner], atol=8 / 1024)


def test_damage_costs_only_the_tiles_that_it_touches():
    pixels = mosaic(1100, 1100, seed=2)
    grid = TileGrid((1100, 1100), 1.0, 1.0)
    slide = WatchedSlide(pixels, broken=lambda row, col: (row, col) == (2, 2))
    maps = CellMaps.empty(grid, 7)
    indices = [(int(r), int(c)) for r, c in np.ndindex(grid.shape)]
    stage = classify_events(slide, grid, indices, Positions(), maps, batch_size=4, overlap=128)
    _, unreadable = drain(stage)
    assert unreadable.places == [(2, 2)]
    assert maps.analyzed.sum() == 24


OVERLAPPING = changed(overlap=16)
VIEW = Region(900, 700, 300, 500)


def test_p27_with_overlap_a_viewport_equals_the_crop_of_the_whole_slide(
    model: CountingModel, tmp_path: Path
):
    whole, part = tmp_path / "whole", tmp_path / "part"
    drain(analyze(WatchedSlide(PIXELS), store=whole, model=model, config=OVERLAPPING))
    drain(analyze(WatchedSlide(PIXELS), store=part, model=model, config=OVERLAPPING, region=VIEW))
    expected, found = contents(whole), contents(part)
    for name in ("patch", "cell"):
        covered = found[f"{name} coverage"]
        assert covered.any()
        assert not covered.all()
        both = (found[f"{name} probs"], expected[f"{name} probs"])
        assert np.array_equal(*(probs[:, covered] for probs in both))
    done = found["refined"] != 0
    assert done.any()
    assert np.array_equal(found["refined"][done], expected["refined"][done])


def test_a_stopped_run_with_overlap_ends_as_if_it_had_not_been_stopped(
    model: CountingModel, tmp_path: Path
):
    config = changed(overlap=64, stage="patch")
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    drain(analyze(WatchedSlide(PIXELS), store=straight, model=model, config=config))
    run = analyze(WatchedSlide(PIXELS), store=stopped, model=model, config=config)
    for _ in range(6):
        next(run)
    run.close()
    before = len(model.batches)
    drain(analyze(WatchedSlide(PIXELS), store=stopped, model=model, config=config))
    assert len(model.batches) > before
    ours, theirs = contents(straight), contents(stopped)
    assert all(np.array_equal(array, theirs[name]) for name, array in ours.items())
