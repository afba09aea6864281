"""What is read from an event log: what a person said last, and nothing the model said."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.outputs import export_store
from napari_fddm.pipeline.store import AnalysisStore, read_strokes
from napari_fddm.pipeline.store.strokes import confirmation_record
from tests.support.stores import SHAPE, WHOLE, every_tile, make, refine_all, write_tiles

SAID = 7
HERE, THERE = Window(10, 10, 20, 20), Window(60, 80, 10, 10)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "s.fddm.ome.zarr"
    with make(path) as store:
        write_tiles(store, np.random.default_rng(0), every_tile())
        refine_all(store, np.full(SHAPE, SAID, np.uint8))
        store.finish()
    return path


def paint(path, window, value, tool="paint"):
    with AnalysisStore.open(path, "r+") as store:
        store.corrections.write(
            window, np.full((window.height, window.width), value, np.uint8), tool=tool
        )


def painted(path):
    with AnalysisStore.open(path) as store:
        return read_strokes(store).painted


def test_strokes_are_what_was_painted_last(path):
    paint(path, HERE, 3)
    paint(path, Window(10, 10, 5, 20), 2)
    found = painted(path)
    assert (found[10:15, 10:30] == 2).all()
    assert (found[15:30, 10:30] == 3).all()
    assert np.count_nonzero(found) == 400


@pytest.mark.parametrize("tool", ["undo", "restore", "reset"])
def test_what_was_taken_back_is_no_sample(path, tool):
    paint(path, HERE, 3)
    paint(path, HERE, SAID, tool)
    assert not painted(path).any()


def test_undoing_a_second_stroke_leaves_the_first(path):
    paint(path, HERE, 3)
    paint(path, HERE, 2)
    paint(path, HERE, 3, "undo")
    assert (painted(path)[HERE.slices] == 3).all()


def test_what_was_excluded_is_no_sample(path):
    paint(path, HERE, 3)
    paint(path, HERE, 0, "exclude")
    assert not painted(path).any()


def test_confirmed_cells_are_samples_and_change_no_label(path):
    labels = np.full((THERE.height, THERE.width), SAID, np.uint8)
    record = confirmation_record(labels, SHAPE, THERE)
    with AnalysisStore.open(path, "r+") as store:
        store.records.append(record)
        assert (store.labels("corrected") == SAID).all()
    found = painted(path)
    assert (found[THERE.slices] == SAID).all()
    assert np.count_nonzero(found) == labels.size
    assert confirmation_record(np.zeros_like(labels), SHAPE, THERE) is None


def test_strokes_outlast_a_model_that_has_learned_them(path):
    paint(path, HERE, 3)
    with AnalysisStore.open(path, "r+") as store:
        labels = np.full(SHAPE, SAID, np.uint8)
        labels[HERE.slices] = 3  # the model says it by itself now
        refine_all(store, labels)
        store.finish()
        assert np.array_equal(store.labels("corrected"), store.maps.labels())
    assert (painted(path)[HERE.slices] == 3).all()


def test_an_export_can_be_learned_from(path, tmp_path):
    paint(path, HERE, 3)
    with AnalysisStore.open(path, "r+") as store:
        store.records.append(
            confirmation_record(np.full((5, 5), SAID, np.uint8), SHAPE, WHOLE_CORNER)
        )
        export_store(store, tmp_path / "copy.ome.zarr")
    assert np.array_equal(painted(tmp_path / "copy.ome.zarr"), painted(path))


WHOLE_CORNER = Window(WHOLE.y, WHOLE.x, 5, 5)
