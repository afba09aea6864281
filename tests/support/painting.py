"""A window that paints until it is killed, or closes when it is asked to (SIGTERM).

    python -m tests.support.painting STORE

It says when it made which stroke, one line for each: seconds since the epoch, row, column, value.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import napari
from qtpy.QtCore import QTimer

from napari_fddm.pipeline.outputs import opened_event
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.plugin.document.prepared_analysis import PreparedAnalysis
from napari_fddm.plugin.widget import FddmWidget

EVERY_MS = 15


def main(store: Path) -> None:
    """Open the store in a real window and paint one cell after another."""
    viewer = napari.Viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget("napari-fddm")
    assert isinstance(widget, FddmWidget)
    with AnalysisStore.open(store) as opened:
        widget.controller.run._on_opener_opened(PreparedAnalysis.of(opened_event(opened)))
    analysis = widget.controller.current
    assert analysis is not None
    layer, made = analysis.layer, 0
    layer.brush_size = 1
    width = layer.data.shape[1]

    def paint() -> None:
        nonlocal made
        if asked:  # here, and not in the handler: that may run while something is drawn
            timer.stop()
            viewer.close()
            return
        if not layer._slicing_state.loaded:
            return
        y, x, value = made // width, made % width, 1 + made % 7
        layer.paint((y, x), value)
        print(time.time(), y, x, value, flush=True)  # noqa: T201
        made += 1

    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    timer = QTimer()
    timer.timeout.connect(paint)
    timer.start(EVERY_MS)
    napari.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
