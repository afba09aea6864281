"""How long strokes and undo take until the rate is shown, in a real window.

    xvfb-run -a python -m benchmarks.editing_window

A stroke of a 500-cell brush is drawn on a plain napari Labels layer and on the corrected
layer, in turn, on a large and on a small map. What the plugin adds is the difference of
neighboring strokes; the rate is shown when the label has its new text.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import napari
import numpy as np
from napari.layers import Labels
from qtpy.QtWidgets import QApplication

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.events import AnalysisOpened
from napari_fddm.core.tiling import TileGrid
from napari_fddm.pipeline.layout import StoreGeometries
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.plugin.analysis import Analysis
from napari_fddm.plugin.colors import class_colormap
from napari_fddm.plugin.layers import placement
from napari_fddm.plugin.widget import FddmWidget

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_fddm.core.geometry import MapGeometry

LARGE, SMALL = 12_500, 1_000
BRUSH = 500
STEPS = 60
"""Moves of the mouse; each paints a few disks, as napari interpolates."""
UNDOS = 7
STEP_CELLS = 40
BAR_STROKE_MS, BAR_RATIO, BAR_UNDO_MS = 16.0, 1.3, 60.0


class Desk:
    """A window with one map of a size, under the plain and under the corrected layer."""

    def __init__(self, side: int, folder: Path) -> None:
        self.side = side
        self.viewer = napari.Viewer(show=True)
        self.widget = FddmWidget(self.viewer)
        self.viewer.window.add_dock_widget(self.widget)
        self.widget.controller.worker.close()  # an engine that warms up takes the processor
        grid = TileGrid((side * 8, side * 8), 0.5, 1.0)
        geometries = StoreGeometries.of_grid(grid, 8.0)
        store = folder / f"{side}.fddm.ome.zarr"
        AnalysisStore.create(
            store,
            slide_info={"name": "s", "fingerprint": "f"},
            geometries=geometries,
            table=OSTEOSARCOMA,
            provenance={},
        ).close()
        labels = _labels(geometries.label)
        opened = AnalysisOpened(
            str(store),
            geometries.tile,
            geometries.label,
            np.zeros(geometries.tile.shape, np.uint8),
            labels,
            labels,
            {"name": "s", "fingerprint": "f"},
            {},
        )
        self.analysis = Analysis(self.viewer, opened, "s")
        self.widget.controller.session.add(store, self.analysis)
        self.plain = Labels(
            labels.copy(), colormap=class_colormap(OSTEOSARCOMA), **placement(geometries.label)
        )
        self.viewer.add_layer(self.plain)
        for layer in (self.plain, self.analysis.layer):
            layer.mode = "paint"
            layer.brush_size = BRUSH
            layer.selected_label = 2
        QApplication.processEvents()

    def strokes(self) -> tuple[list[float], list[float]]:
        """Return ms per mouse move on the plain and on the corrected layer."""
        plain, ours = [], []
        with self.plain.block_history(), self.analysis.layer.block_history():
            for step in range(STEPS):
                value = 2 + step % 5
                plain.append(self._move(self.plain, step, value))
                ours.append(self._move(self.analysis.layer, step, value))
                QApplication.processEvents()
        return plain, ours

    def undos(self) -> list[float]:
        """Return ms from undo until the rate is shown."""
        found, layer = [], self.analysis.layer
        times: list[float] = []

        def note(_reports: object) -> None:
            times.append(time.perf_counter())

        self.widget.state.report_changed.connect(note)  # after the panel, which came first
        for number in range(UNDOS):
            layer.paint((300 + 40 * number, 400), 7)
            times.clear()
            started = time.perf_counter()
            layer.undo()
            found.append(1000 * (times[0] - started))
            QApplication.processEvents()
        return found

    def close(self) -> None:
        """End it."""
        self.viewer.close()
        QApplication.processEvents()

    def _move(self, layer: Labels, step: int, value: int) -> float:
        start = 260 + (step * STEP_CELLS) % (self.side - 520)
        last, point = (
            (float(self.side // 2), float(start)),
            (
                float(self.side // 2),
                float(start + STEP_CELLS),
            ),
        )
        started = time.perf_counter()
        layer._draw(value, last, point)
        return 1000 * (time.perf_counter() - started)


def _labels(geometry: MapGeometry) -> np.ndarray:
    rng = np.random.default_rng(0)
    small = rng.integers(1, 8, tuple(-(-n // 50) for n in geometry.shape)).astype(np.uint8)
    return np.kron(small, np.ones((50, 50), np.uint8))[
        : geometry.shape[0], : geometry.shape[1]
    ].copy()


def main() -> None:
    for line in figures():
        print(line, flush=True)


def figures() -> Iterator[str]:
    """Yield the table."""
    added, undo = {}, 0.0
    with tempfile.TemporaryDirectory(prefix="fddm-bench-") as name:
        for side in (SMALL, LARGE):
            desk = Desk(side, Path(name))
            desk.strokes()  # the first imports and compiles
            plain, ours = desk.strokes()
            extra = [mine - theirs for mine, theirs in zip(ours, plain, strict=True)]
            added[side] = (statistics.median(extra), float(np.percentile(extra, 95)))
            medians = (statistics.median(plain), statistics.median(ours))
            yield "{}: plain {:.1f} ms, ours {:.1f} ms".format(side, *medians)
            if side == LARGE:
                undo = statistics.median(desk.undos())
            desk.close()
    ratio = added[LARGE][0] / added[SMALL][0]
    yield "| | figure | bar |"
    yield "|---|---|---|"
    yield f"| stroke → rate, own time, p95 | {added[LARGE][1]:.1f} ms | ≤ {BAR_STROKE_MS:.0f} ms |"
    yield f"| the same, {LARGE} against {SMALL} cells a side | {ratio:.2f} | ≤ {BAR_RATIO} |"
    yield f"| undo → rate, median | {undo:.0f} ms | ≤ {BAR_UNDO_MS:.0f} ms |"


if __name__ == "__main__":
    main()
