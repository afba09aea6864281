"""How the window feels: opening the widget, the first colors, gaps of the event loop.

    xvfb-run -a python -m benchmarks.window

Each figure is the median of some rounds; of each, its longest gap. The run goes beside
the viewer in the engine process, with the bundled model. After each round the same run
is asked of an engine without a viewer, while the first one and its window rest: neighbors
in time, because the speed of a machine with other work changes by more than is asked for.
"""

from __future__ import annotations

import itertools
import os
import platform
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fddm.core.events import StageDone, TileBatch
from napari_fddm.pipeline.engine_client import EngineClient
from napari_fddm.pipeline.engine_messages import RunEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SLIDE = "synthetic:24000x24000?seed={seed}&mpp=0.5"
"""12 mm: about 2200 tiles, of which a round classifies the first `TILES`."""
TILES = 64
ROUNDS = 3
SETTLE_S = 3.0
LIMIT_S = 600.0
BARS = {
    "widget opens, ms": "≤ 200",
    "click → first colored tiles, s": "≤ 3",
    "longest gap of the event loop while a run starts and streams, ms": "≤ 250",
    "tiles/s beside the viewer, against none": "≥ 0.85",
}


def main() -> None:
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
        window = WindowRounds()
        shares = []
        for seed in range(ROUNDS):
            window.round(seed)
            shares.append(window.speed[-1] / _alone(Path(name), seed))
        window.close()
    medians = (statistics.median(found) for found in (window.first, window.gaps, shares))
    return dict(zip(BARS, (window.opened, *medians), strict=True))


class WindowRounds:
    """A viewer with the widget, in which whole-slide runs are started and stopped."""

    def __init__(self) -> None:
        import napari
        from qtpy.QtCore import QTimer
        from qtpy.QtWidgets import QApplication

        self.viewer = napari.Viewer(show=True)
        self.app = QApplication.instance()
        self._spin(1.0)
        started = time.perf_counter()
        _, self.widget = self.viewer.window.add_plugin_dock_widget("napari-fddm")
        self.app.processEvents()
        self.opened = 1000 * (time.perf_counter() - started)
        self.first: list[float] = []
        self.speed: list[float] = []
        self.gaps: list[float] = []
        self._beats: list[float] = []
        self._timer = QTimer()
        self._timer.timeout.connect(lambda: self._beats.append(time.perf_counter()))
        self._wait(lambda: bool(self.widget.state.device))
        self._spin(SETTLE_S)  # the model loads

    def round(self, seed: int) -> None:
        """Start a run over a slide of its own; stop it after `TILES` tiles."""
        from napari_fddm.plugin.slides import slide_layer_data
        from napari_fddm.plugin.state import Scope
        from napari_fddm.slides.opening import open_slide

        uri = SLIDE.format(seed=seed)
        data, options, _ = slide_layer_data(open_slide(uri), uri)
        self.viewer.add_image(data, **options)
        self._spin(SETTLE_S)
        controller, state = self.widget.controller, self.widget.state
        self._beats.clear()
        self._timer.start(2)
        started = time.perf_counter()
        controller.run(Scope.SLIDE)
        self._wait(lambda: controller.current is not None and bool(controller.current.patch.any()))
        self.first.append(time.perf_counter() - started)
        count, begun = state.progress.done, time.perf_counter()
        self._wait(lambda: state.progress.done >= TILES)
        self.speed.append((state.progress.done - count) / (time.perf_counter() - begun))
        self._timer.stop()
        gaps = [b - a for a, b in itertools.pairwise(self._beats)]
        self.gaps.append(1000 * max(gaps))
        controller.cancel()
        self._wait(lambda: not state.busy)
        self.viewer.layers.clear()
        self._spin(0.5)  # Mesa crashes where layers go and come without a drawing between

    def close(self) -> None:
        """Close the viewer, and the engine with it."""
        self.viewer.close()

    def _spin(self, seconds: float) -> None:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            self.app.processEvents()
            time.sleep(0.001)

    def _wait(self, done: Callable[[], bool]) -> None:
        until = time.perf_counter() + LIMIT_S
        while not done():
            if time.perf_counter() > until:
                raise TimeoutError(f"nothing came within {LIMIT_S:.0f} s")
            self.app.processEvents()
            time.sleep(0.001)


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
