"""How long strokes and undo take until the rate is shown, in a real window.

    xvfb-run -a python -m benchmarks.editing_window

A 500-cell brush is moved over a plain napari Labels layer and over the corrected layer,
move by move in turn, on a large and on a small map in turn, in one process. What the
plugin adds to a move is the difference of the two; it ends when the rate has its new
text. The bars are meant for the seconds of a clock on a machine that is otherwise idle;
processor time of the same thread stands beside them, which a busy machine changes less.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import napari
import numpy as np
from napari.layers import Labels
from qtpy.QtWidgets import QApplication

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.events import AnalysisOpened
from napari_fddm.core.necrosis import DEFINITIONS, ClassAreas, compute_rate
from napari_fddm.core.tiling import TileGrid
from napari_fddm.pipeline.store import AnalysisStore, StoreGeometries
from napari_fddm.plugin.document import Analysis
from napari_fddm.plugin.document.prepared_analysis import PreparedAnalysis
from napari_fddm.plugin.layers.common import placement
from napari_fddm.plugin.layers.napari_colormap import class_colormap
from napari_fddm.plugin.panels.widgets import percent
from napari_fddm.plugin.widget import FddmWidget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_fddm.core.geometry import MapGeometry

LARGE, SMALL = 12_500, 1_000
BRUSH = 500
ROUNDS = 8
MOVES = 30
"""Of the mouse in a round; each paints a few disks, as napari interpolates."""
UNDOS = 3
MOVE_CELLS = 40
BAR_MOVE_MS, BAR_RATIO, BAR_UNDO_MS = 16.0, 1.3, 60.0


@dataclass(frozen=True)
class Times:
    """Milliseconds of some actions: by the clock, and of the processor in the main thread."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, action: Callable[[], object]) -> None:
        """Do it and note how long it takes."""
        wall, cpu = time.perf_counter(), time.thread_time()
        action()
        self.cpu.append(1000 * (time.thread_time() - cpu))
        self.wall.append(1000 * (time.perf_counter() - wall))

    def __sub__(self, other: Times) -> Times:
        return Times(
            *(
                [a - b for a, b in zip(mine, theirs, strict=True)]
                for mine, theirs in ((self.wall, other.wall), (self.cpu, other.cpu))
            )
        )


class _Shown:
    """Notes when a report was first shown, in seconds since it was made."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0
        self._wall, self._cpu = time.perf_counter(), time.thread_time()

    def note(self, _reports: object) -> None:
        """Take the time, once."""
        self.wall = self.wall or time.perf_counter() - self._wall
        self.cpu = self.cpu or time.thread_time() - self._cpu


class Desk:
    """A map of a size in a window, under the plain and under the corrected layer."""

    def __init__(self, widget: FddmWidget, side: int, folder: Path) -> None:
        self.side, self.widget = side, widget
        viewer, session = widget.controller.viewer, widget.controller.session
        grid = TileGrid((side * 8, side * 8), 0.5, 1.0)
        geometries = StoreGeometries.of_grid(grid, 4.0)
        assert geometries.label.shape == (side, side)
        store = folder / f"{side}.fddm.ome.zarr"
        info = {"name": f"map of {side}", "fingerprint": str(side)}
        AnalysisStore.create(
            store, slide_info=info, geometries=geometries, table=OSTEOSARCOMA, provenance={}
        ).close()
        labels, tiles = _labels(geometries.label), np.zeros(geometries.tile.shape, np.uint8)
        opened = AnalysisOpened(
            str(store), geometries.tile, geometries.label, tiles, labels, labels, info, {}
        )
        self.analysis = Analysis(viewer, PreparedAnalysis.of(opened), info["name"])
        session.add(store, self.analysis)
        self.plain = Labels(
            labels.copy(), colormap=class_colormap(OSTEOSARCOMA), **placement(geometries.label)
        )
        viewer.add_layer(self.plain)
        for layer in (self.plain, self.analysis.layer):
            layer.mode = "paint"
            layer.brush_size = BRUSH
            layer.selected_label = 2
        self.theirs, self.ours, self.undos = Times(), Times(), Times()
        self.show(wanted=False)

    def show(self, *, wanted: bool) -> None:
        """Bring it to the front, alone, or take it away."""
        self.plain.visible = self.analysis.layer.visible = wanted
        self.analysis.patch_layer.visible = False
        if wanted:
            self.widget.controller.viewer.layers.selection.active = self.analysis.layer
            self.widget.controller.rate.update()
        QApplication.processEvents()

    def stroke(self) -> None:
        """Draw one stroke on each layer, move by move in turn."""
        with self.plain.block_history(), self.analysis.layer.block_history():
            for step in range(MOVES):
                QApplication.processEvents()  # drawing waits for both alike
                value = 2 + step % 5
                pair = [(self.theirs, self.plain), (self.ours, self.analysis.layer)]
                for times, layer in pair[:: 1 if step % 2 else -1]:
                    times.add(self._move(layer, step, value))
        areas = ClassAreas.from_labels(self.analysis.layer.data, self.analysis.geometry.cell_mm2)
        shown = self.widget.panels.rate.rate_label.text()
        assert shown == percent(compute_rate(areas, DEFINITIONS["fddm"]).rate)

    def undo(self) -> None:
        """Paint and take it back some times; the time ends when the rate is shown."""
        layer, state = self.analysis.layer, self.widget.state
        for number in range(UNDOS):
            layer.paint((300 + 40 * number, 400), 7)
            QApplication.processEvents()
            shown = _Shown()
            state.report_changed.connect(shown.note)  # after the panel, which came first
            layer.undo()
            state.report_changed.disconnect(shown.note)
            self.undos.wall.append(1000 * shown.wall)
            self.undos.cpu.append(1000 * shown.cpu)

    def _move(self, layer: Labels, step: int, value: int) -> Callable[[], None]:
        row = float(SMALL // 2)
        start = 260 + (step * MOVE_CELLS) % (SMALL - 520 - MOVE_CELLS)  # alike on both maps
        return lambda: layer._draw(value, (row, float(start)), (row, float(start + MOVE_CELLS)))


def _labels(geometry: MapGeometry) -> np.ndarray:
    rng = np.random.default_rng(0)
    small = rng.integers(1, 8, tuple(-(-n // 50) for n in geometry.shape)).astype(np.uint8)
    return np.kron(small, np.ones((50, 50), np.uint8))[
        : geometry.shape[0], : geometry.shape[1]
    ].copy()


def main() -> None:
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"{os.cpu_count()} cores, load {load:.1f}", flush=True)
    for line in figures():
        print(line, flush=True)


def figures() -> Iterator[str]:
    """Yield the table."""
    with tempfile.TemporaryDirectory(prefix="fddm-bench-") as name:
        viewer = napari.Viewer(show=True)
        widget = FddmWidget(viewer)
        viewer.window.add_dock_widget(widget)
        widget.controller.run.worker.close()  # an engine that warms up takes the processor
        try:
            small, large = (Desk(widget, side, Path(name)) for side in (SMALL, LARGE))
            _rounds(small, large)
        finally:
            viewer.close()
            QApplication.processEvents()
    own = {desk.side: desk.ours - desk.theirs for desk in (small, large)}
    yield "| | by the clock | processor time | bar |"
    yield "|---|---|---|---|"
    yield _row("a move on a plain layer, median, ms", large.theirs, statistics.median)
    yield _row("a move → rate, own time, median, ms", own[LARGE], statistics.median)
    bar = f"≤ {BAR_MOVE_MS:.0f}"
    yield _row("a move → rate, own time, p95, ms", own[LARGE], _p95, bar)
    wall, cpu = (
        statistics.median(getattr(own[LARGE], kind)) / statistics.median(getattr(own[SMALL], kind))
        for kind in ("wall", "cpu")
    )
    title = f"own time, {LARGE} against {SMALL} cells a side, medians"
    yield f"| {title} | {wall:.2f} | {cpu:.2f} | ≤ {BAR_RATIO} |"
    yield _row("undo → rate, median, ms", large.undos, statistics.median, f"≤ {BAR_UNDO_MS:.0f}")


def _rounds(small: Desk, large: Desk) -> None:
    for number in range(-1, ROUNDS):
        for desk in (small, large)[:: 1 if number % 2 else -1]:
            desk.show(wanted=True)
            desk.stroke()
            if desk is large:
                desk.undo()
            desk.show(wanted=False)
        if number < 0:  # the first imports and compiles
            for desk in (small, large):
                desk.theirs, desk.ours, desk.undos = Times(), Times(), Times()


def _row(title: str, times: Times, figure: Callable[[list[float]], float], bar: str = "") -> str:
    return f"| {title} | {figure(times.wall):.1f} | {figure(times.cpu):.1f} | {bar} |"


def _p95(values: list[float]) -> float:
    return float(np.percentile(values, 95))


if __name__ == "__main__":
    main()
