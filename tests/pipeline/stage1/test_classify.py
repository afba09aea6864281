"""Stage 1 over a slide: order, progress, padding, and tiles that cannot be read."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_fddm.core.errors import EngineError
from napari_fddm.core.events import StageDone, StageStarted, TileBatch
from napari_fddm.core.maps import ProbabilityMap
from napari_fddm.core.tiling import TileGrid
from napari_fddm.pipeline.stage1 import CellMaps, classify_events
from napari_fddm.pipeline.stage1.cell_maps import cell_features
from napari_fddm.pipeline.stage1.classify import UnreadableTiles
from tests.support.runs import WatchedSlide, drain, mosaic

PIXELS = mosaic(1000, 1500, seed=1)
GRID = TileGrid((1000, 1500), 1.0, 1.0)
ALL = [(int(r), int(c)) for r, c in np.argwhere(np.ones(GRID.shape, bool))]


class ByColor:
    """A model that reads its answer off the tile's mean color, and notes what it is given."""

    def __init__(self, most: int = 1000) -> None:
        self.batches: list[np.ndarray] = []
        self.most = most

    def classify(self, tiles_nhwc: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.batches.append(tiles_nhwc.copy())
        if len(tiles_nhwc) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        score = tiles_nhwc.mean(axis=(1, 2, 3))[:, None] / 255 * np.arange(7)  # (n, 7)
        probs = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
        cells = np.broadcast_to(probs[:, :, None, None], (len(probs), 7, 8, 8))
        return probs.astype(np.float32), cells.astype(np.float32)


def tile_labels(maps: CellMaps) -> np.ndarray:
    return ProbabilityMap(maps.tile_probs, maps.analyzed, maps.tile_geometry).labels


def run(slide: WatchedSlide, batch_size: int = 5, indices=ALL, most: int = 1000, **options):
    model, maps = ByColor(most), CellMaps.empty(GRID, 7)
    stage = classify_events(slide, GRID, indices, model, maps, batch_size=batch_size, **options)
    events, unreadable = drain(stage)
    assert isinstance(unreadable, UnreadableTiles)
    return events, unreadable, model, maps


def test_events_begin_progress_and_end():
    events, unreadable, _, _ = run(WatchedSlide(PIXELS))
    assert events[0] == StageStarted("patch", 24, "tiles")
    assert isinstance(events[-1], StageDone)
    assert (events[-1].stage, events[-1].notes) == ("patch", ())
    assert all(isinstance(e, TileBatch) for e in events[1:-1])
    assert [e.done for e in events[1:-1]] == [5, 10, 15, 20, 24]
    assert {e.total for e in events[1:-1]} == {24}
    assert unreadable.places == []


def test_events_say_which_tile_has_which_label():
    events, _, _, maps = run(WatchedSlide(PIXELS))
    labels = np.zeros(GRID.shape, np.uint8)
    for event in events[1:-1]:
        assert event.rows.shape == event.cols.shape == event.labels.shape
        labels[event.rows, event.cols] = event.labels
    assert np.array_equal(labels, tile_labels(maps))
    assert labels.min() >= 1


def test_maps_hold_what_the_model_said_of_each_tile():
    _, _, model, maps = run(WatchedSlide(PIXELS), batch_size=7)
    tiles = np.concatenate(model.batches)[:24]
    probs, cells = ByColor().classify(tiles)
    features = cell_features(tiles)
    for n, (row, col) in enumerate(ALL):
        found = maps.tile(row, col)
        for part, expected in zip(found, (probs[n], cells[n], features[n]), strict=True):
            assert np.array_equal(part, expected.astype(np.float16))


@pytest.mark.parametrize("batch_size", [1, 5, 24, 50])
def test_every_batch_has_the_same_shape_and_white_padding(batch_size: int):
    _, _, model, _ = run(WatchedSlide(PIXELS), batch_size)
    assert {b.shape for b in model.batches} == {(batch_size, 256, 256, 3)}
    used = 24 - batch_size * (len(model.batches) - 1)
    assert (model.batches[-1][used:] == 255).all()


def test_unreadable_tiles_are_left_out_and_counted():
    slide = WatchedSlide(PIXELS, broken=lambda row, col: row == col)
    events, unreadable, model, maps = run(slide)
    assert unreadable.places == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert not maps.analyzed[range(4), range(4)].any()
    assert maps.analyzed.sum() == 20
    assert (tile_labels(maps) == 0).sum() == 4
    assert unreadable.first_reason.startswith("mosaic")
    batches = [e for e in events if isinstance(e, TileBatch)]
    assert sum(len(e.rows) for e in batches) == 20
    assert batches[-1].done == 24
    assert {b.shape for b in model.batches} == {(5, 256, 256, 3)}


def test_a_batch_without_any_readable_tile_asks_no_model():
    slide = WatchedSlide(PIXELS, broken=lambda row, col: row < 2)
    events, unreadable, model, _ = run(slide, batch_size=4)
    assert len(unreadable.places) == 12
    assert len(model.batches) == 3
    assert [e.done for e in events if isinstance(e, TileBatch)] == [16, 20, 24]


def test_nothing_to_do_is_said_too():
    events, _, model, _ = run(WatchedSlide(PIXELS), indices=[])
    assert [type(e) for e in events] == [StageStarted, StageDone]
    assert model.batches == []


def test_closing_stops_after_the_batch_at_hand():
    slide, model = WatchedSlide(PIXELS), ByColor()
    maps = CellMaps.empty(GRID, 7)
    stage = classify_events(slide, GRID, ALL, model, maps, batch_size=2)
    next(stage), next(stage)
    stage.close()
    assert len(model.batches) == 1
    assert maps.analyzed.sum() == 2
    assert len(slide.tiles_read) < len(ALL)


@pytest.mark.parametrize("overlap", [0, 16])
def test_batches_that_do_not_fit_are_halved_and_told(overlap: int):
    _, _, _, expected = run(WatchedSlide(PIXELS), batch_size=8, overlap=overlap)
    events, _, model, maps = run(WatchedSlide(PIXELS), batch_size=8, overlap=overlap, most=3)
    assert [len(b) for b in model.batches[:4]] == [8, 4, 2, 2]
    assert {len(b) for b in model.batches[2:]} == {2}
    assert np.array_equal(maps.cell_probs, expected.cell_probs)
    assert events[-1].batch_size == 2
    assert len(events[-1].notes) == 1
    assert "8 tiles" in events[-1].notes[0]
    assert "2 were taken" in events[-1].notes[0]


def test_a_tile_that_does_not_fit_ends_the_run_in_one_line():
    with pytest.raises(EngineError, match="one of the tiles") as caught:
        run(WatchedSlide(PIXELS), most=0)
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_the_blank_filter_is_off_unless_asked_for():
    pale = PIXELS.copy()
    pale[:256, :256] = (236, 220, 228)  # homogeneous and pale, but no glass
    plain, filtered = run(WatchedSlide(pale)), run(WatchedSlide(pale), blank_filter=True)
    assert tile_labels(plain[3])[0, 0] != 1
    assert plain[0][-1].notes == ()
    assert tile_labels(filtered[3])[0, 0] == 1
    assert (filtered[3].cell_probs[0, :8, :8] == 1).all()
    assert filtered[3].analyzed.all()
    assert filtered[0][-1].notes == ("the blank filter took 1 tiles for background: 0.0655 mm²",)
    rest = np.ones(GRID.shape, bool)
    rest[0, 0] = False
    assert np.array_equal(plain[3].tile_probs[:, rest], filtered[3].tile_probs[:, rest])
