"""How the window feels: opening the widget, the first colors, gaps of the event loop.

    xvfb-run -a python -m benchmarks.window

Each figure is the median of some rounds; of each, its longest gap. The widget opens in
a new process each time, as it does once a day; its modules are compiled, as pip leaves
them. The run goes beside the viewer in the engine process, with the bundled model. After
each round the same run is asked of an engine without a viewer, while the first one and
its window rest: neighbors in time, because the speed of a machine with other work changes
by more than is asked for.
"""

from __future__ import annotations

import itertools
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fddm.core.events import StageDone, TileBatch
from napari_fddm.pipeline.engine import EngineClient
from napari_fddm.pipeline.engine.messages import RunEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_fddm.plugin.document import Analysis

SLIDE = "synthetic:24000x24000?seed={seed}&mpp=0.5"
"""12 mm: about 2200 tiles, of which a round classifies the first `TILES`."""
TILES = 64
ROUNDS = 3
OPENINGS = 5
BEAT_MS, LOOK_MS = 5, 20
SETTLE_S = 3.0
LIMIT_S = 600.0
OPEN = "--open"
"""Only open the widget once and print how long it took."""
BARS = {
    "widget opens, ms": "≤ 200",
    "click → first colored tiles, s": "≤ 3",
    "longest gap of the event loop while a run starts and streams, ms": "≤ 250",
    "tiles/s beside the viewer, against none": "≥ 0.85",
}


def main() -> None:
    if sys.argv[1:] == [OPEN]:
        print(_open_once())
        return
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True
    )
    for line in lines(measure()):
        print(line, flush=True)


def lines(figures: dict[str, float]) -> Iterator[str]:
    """Yield a Markdown table."""
    yield "| | measured | bar |"
    yield "|---|---|---|"
    for name, value in figures.items():
        yield f"| {name} | {value:.3g} | {BARS[name]} |"


def measure() -> dict[str, float]:
    """Return each figure by its name in `BARS`."""
    with tempfile.TemporaryDirectory(prefix="fddm-bench-") as name:
        os.environ["XDG_DATA_HOME"] = name
        opened = _openings()
        window = WindowRounds()
        shares = []
        for seed in range(ROUNDS):
            window.round(seed)
            shares.append(window.speed[-1] / _alone(Path(name), seed))
        window.close()
    medians = (statistics.median(found) for found in (window.first, window.gaps, shares))
    return dict(zip(BARS, (opened, *medians), strict=True))


def _openings() -> float:
    """Return how long the widget takes to open in a new napari, ms."""
    package = str(files("napari_fddm"))
    subprocess.run([sys.executable, "-m", "compileall", "-q", package], check=True)
    command = [sys.executable, "-m", "benchmarks.window", OPEN]
    answers = (
        subprocess.run(command, check=True, capture_output=True, text=True).stdout
        for _ in range(OPENINGS)
    )
    return statistics.median(float(answer.split()[-1]) for answer in answers)


def _open_once() -> float:
    import napari

    viewer = napari.Viewer(show=True)
    _rest(1.0)
    started = time.perf_counter()
    viewer.window.add_plugin_dock_widget("napari-fddm")
    _app().processEvents()
    milliseconds = 1000 * (time.perf_counter() - started)
    viewer.close()
    return milliseconds


class WindowRounds:
    """A viewer with the widget, in which whole-slide runs are started and stopped."""

    def __init__(self) -> None:
        import napari
        from qtpy.QtCore import QTimer

        self.viewer = napari.Viewer(show=True)
        _, self.widget = self.viewer.window.add_plugin_dock_widget("napari-fddm")
        self.first: list[float] = []
        self.speed: list[float] = []
        self.gaps: list[float] = []
        self._beats: list[float] = []
        self._timer = QTimer()
        self._timer.timeout.connect(lambda: self._beats.append(time.perf_counter()))
        _wait(lambda: bool(self.widget.state.device))
        _rest(SETTLE_S)  # the model loads

    def round(self, seed: int) -> None:
        """Start a run over a slide of its own; stop it after `TILES` tiles."""
        from napari_fddm.plugin.layers.slides import slide_layer_data
        from napari_fddm.plugin.state.window_state import Scope
        from napari_fddm.slides import open_slide

        uri = SLIDE.format(seed=seed)
        data, options, _ = slide_layer_data(open_slide(uri), uri)
        self.viewer.add_image(data, **options)
        _rest(SETTLE_S)
        controller, state = self.widget.controller, self.widget.state
        self._beats.clear()
        self._timer.start(BEAT_MS)
        started = time.perf_counter()
        controller.run.start(Scope.SLIDE)
        _wait(lambda: self._has_colors(controller.current))
        self.first.append(time.perf_counter() - started)
        count, begun = state.progress.done, time.perf_counter()
        _wait(lambda: state.progress.done >= TILES)
        self.speed.append((state.progress.done - count) / (time.perf_counter() - begun))
        self._timer.stop()
        gaps = [b - a for a, b in itertools.pairwise(self._beats)]
        self.gaps.append(1000 * max(gaps))
        controller.run.cancel()
        _wait(lambda: not state.busy)
        self.viewer.layers.clear()
        _rest(0.5)  # Mesa crashes where layers go and come without a drawing between

    def _has_colors(self, analysis: Analysis | None) -> bool:
        if analysis is None or not analysis.patch.any():
            return False
        layer = analysis.patch_layer
        return layer in self.viewer.layers and layer not in analysis._stale

    def close(self) -> None:
        """Close the viewer, and the engine with it."""
        self.viewer.close()


def _app() -> Any:
    from qtpy.QtWidgets import QApplication

    return QApplication.instance()


def _rest(seconds: float) -> None:
    until = time.perf_counter() + seconds
    _wait(lambda: time.perf_counter() > until)


def _wait(done: Callable[[], bool]) -> None:
    """Let Qt's own loop run, as `napari.run` does; a loop of ours would take processor time."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop, timer = QEventLoop(), QTimer()
    until = time.perf_counter() + LIMIT_S
    timer.timeout.connect(lambda: loop.quit() if done() or time.perf_counter() > until else None)
    timer.start(LOOK_MS)
    loop.exec()
    timer.stop()
    if time.perf_counter() > until:
        raise TimeoutError(f"nothing came within {LIMIT_S:.0f} s")


def _alone(folder: Path, seed: int) -> float:
    """Return the tiles per second of the same run without a viewer."""
    with closing(EngineClient()) as client:
        client.start()
        client.wait_until_ready()
        run = client.run(SLIDE.format(seed=seed), str(folder / f"alone-{seed}.ome.zarr"))
        return _tiles_per_second(run)


def _tiles_per_second(run: Any) -> float:
    begun, count = 0.0, 0
    with closing(run):
        for answer in run:
            event = answer.event if isinstance(answer, RunEvent) else None
            if isinstance(event, TileBatch) and not begun:
                begun, count = time.perf_counter(), event.done
            if isinstance(event, StageDone) and event.stage == "patch":
                raise TimeoutError(f"the slide has fewer than {TILES} tiles")
            if isinstance(event, TileBatch) and event.done >= TILES:
                return (event.done - count) / (time.perf_counter() - begun)
    raise TimeoutError("the run ended early")


if __name__ == "__main__":
    main()
