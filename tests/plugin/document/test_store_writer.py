"""The thread that keeps strokes: in order, on the disk, and not lost to a rival."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.edits import ShadowCounter
from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.plugin.document.store_writer import StoreWriter
from tests.support.stores import SHAPE, make

pytestmark = pytest.mark.gui


@pytest.fixture
def store_path(tmp_path):
    path = tmp_path / "s.fddm.ome.zarr"
    make(path).close()
    return path


class Painter:
    def __init__(self) -> None:
        self.labels = np.zeros(SHAPE, np.uint8)
        self.counter = ShadowCounter(self.labels, 7)

    def stroke(self, y, x, value, tool="paint"):
        window = Window(y, x, 9, 9)
        self.labels[window.slices] = value
        return self.counter.update(self.labels, window, tool)

    def spray(self, y, x, value, tool="paint"):
        """Change so many single cells that the record needs disk space of its own."""
        window = Window(y, x, 150, 150)
        part = self.labels[window.slices]
        chosen = np.random.default_rng(y + x + value).random(part.shape) < 0.5
        part[chosen] = (part[chosen] + value) % 7 + 1
        return self.counter.update(self.labels, window, tool)


def stored(path):
    with AnalysisStore.open(path) as store:
        return store.labels("corrected"), [edit.tool for edit in store.log.edits("corrected")]


def test_many_strokes_end_on_the_disk_in_order(store_path, qtbot):
    writer, painter = StoreWriter(store_path), Painter()
    for i in range(60):
        writer.append(painter.stroke(i, 2 * i, 1 + i % 7, "erase" if i >= 40 else "paint"))
    assert writer.flush()
    labels, tools = stored(store_path)
    assert np.array_equal(labels, painter.labels)
    assert len(tools) <= 60
    assert tools == sorted(tools, reverse=True)
    assert set(tools) == {"paint", "erase"}
    writer.close()


def test_closing_writes_what_waits(store_path, qtbot):
    writer, painter = StoreWriter(store_path), Painter()
    writer.append(painter.stroke(5, 5, 3))
    writer.close()
    assert np.array_equal(stored(store_path)[0], painter.labels)


def test_strokes_wait_while_another_program_edits(store_path, qtbot):
    writer, painter = StoreWriter(store_path), Painter()
    with AnalysisStore.open(store_path, "r+") as rival:
        rival.corrections.sync()
        with qtbot.waitSignal(writer.changed, timeout=10_000) as change:
            writer.append(painter.stroke(5, 5, 3))
        assert "another window or program" in change.args[0].locked
        assert change.args[0].waiting == 1
    writer.append(painter.stroke(20, 20, 4))
    assert writer.flush()
    assert np.array_equal(stored(store_path)[0], painter.labels)
    writer.close()


def test_an_export_of_nothing_is_one_error(tmp_path, qtbot):
    writer = StoreWriter(tmp_path / "missing.fddm.ome.zarr")
    with qtbot.waitSignal(writer.failed, timeout=10_000) as failure:
        writer.export(tmp_path / "copy.ome.zarr")
    assert "does not exist" in str(failure.args[0])
    writer.close()


def test_strokes_before_the_log_is_open_are_no_news_of_another_program(store_path, qtbot):
    with AnalysisStore.open(store_path) as store:
        seq = store.log.last_seq
    writer, painter = StoreWriter(store_path, seq=seq), Painter()
    writer.append(painter.stroke(5, 5, 3))  # in the queue before anything was opened
    with qtbot.assertNotEmitted(writer.reread, wait=200):
        assert writer.flush()
    writer.close()


def test_what_another_program_left_comes_with_the_strokes_made_before_it_arrived(store_path, qtbot):
    rival, ours = Painter(), Painter()
    with AnalysisStore.open(store_path, "r+") as other:
        seq = other.log.last_seq
        other.corrections.log_edits([rival.stroke(40, 40, 6)])
        other.corrections.apply_logged()
    writer = StoreWriter(store_path, seq=seq)
    news = []
    writer.reread.connect(lambda opened: news.append((opened, writer.take_edits_since_reread())))
    early, late = ours.stroke(5, 5, 3), ours.stroke(20, 20, 4)
    writer.append(early)
    assert writer.flush()  # it has met the other program's stroke; nobody has been told yet
    writer.append(late)
    qtbot.waitUntil(lambda: bool(news), timeout=10_000)
    ((opened, unread),) = news
    shown = opened.corrected.copy()
    for edit in unread:
        edit.apply(shown)
    assert writer.flush()
    assert np.array_equal(shown, stored(store_path)[0])
    assert [shown[44, 44], shown[8, 8], shown[24, 24]] == [6, 3, 4]
    assert writer.take_edits_since_reread() == []
    writer.close()
