"""What the bars say: tiles a second of this run, time left, and work of earlier runs."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from rich.console import Console
from rich.progress import Progress

from napari_fddm.cli.progress import _show, drain
from napari_fddm.core.events import StageDone, StageStarted, TileBatch

NONE = np.zeros(0, np.int64)


def batch(done: int, total: int) -> TileBatch:
    return TileBatch(NONE, NONE, NONE.astype(np.uint8), done, total)


@pytest.fixture
def bars() -> Progress:
    return Progress(console=Console(file=io.StringIO(), markup=False), disable=True)


def test_a_continued_run_starts_where_it_stopped_and_counts_its_own_speed(bars: Progress):
    tasks: dict = {}
    _show(StageStarted("patch", 1000, "tiles", done=900), bars, tasks)
    (task,) = bars.tasks
    assert (task.completed, task.total) == (900, 1000)
    task.start_time = time.monotonic() - 10.0
    bars.get_time = time.monotonic
    _show(batch(950, 1000), bars, tasks)
    assert task.completed == 950
    speed, unit = task.fields["speed"].split()
    assert unit == "tiles/s"
    assert float(speed) == pytest.approx(5.0, abs=0.3)


def test_the_time_left_is_that_of_the_work_left(bars: Progress):
    clock = iter(np.arange(0.0, 1000.0, 0.5))
    bars.get_time = lambda: float(next(clock))
    tasks: dict = {}
    _show(StageStarted("patch", 1000, "tiles", done=900), bars, tasks)
    for done in range(905, 955, 5):
        _show(batch(done, 1000), bars, tasks)
    (task,) = bars.tasks
    assert task.time_remaining is not None
    assert 0 < task.time_remaining < 60  # 50 tiles at about 5 tiles in a second or two


def test_the_bars_show_speed_and_time_left(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    monkeypatch.setenv("COLUMNS", "120")

    def run():
        yield StageStarted("patch", 8, "tiles", done=2)
        yield batch(4, 8)
        time.sleep(0.3)
        yield batch(8, 8)
        yield StageDone("patch", 0.3, ("a note [with brackets]",))
        return "result"

    assert drain(run()) == "result"
    shown = capsys.readouterr().err
    assert "tiles/s" in shown
    assert "8/8" in shown
    assert "left" in shown
    assert "note: a note [with brackets]" in shown
