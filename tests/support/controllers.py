"""A controller with a worker that answers what a test wants: no engine, no OpenGL."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from psygnal import Signal
from qtpy.QtWidgets import QWidget

from napari_fddm.core.events import AnalysisOpened, RegionRefined
from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.engine.messages import (
    RunEvent,
)
from napari_fddm.plugin.controller import Controller
from napari_fddm.plugin.layers.slides import slide_layer_data
from napari_fddm.plugin.panels import Panels
from napari_fddm.plugin.state.window_state import PluginState, Scope
from napari_fddm.slides import open_slide
from tests.support.stores import GEOMETRIES, make

URI = "synthetic:2000x2000?seed=1&mpp=0.5"


class FakeWorker:
    answered = Signal(int, object)
    failed = Signal(int, object)

    def __init__(self):
        self.requests, self.cancelled, self.closed, self.warm = [], 0, 0, 0

    def warm_up(self, model):
        self.warm += 1

    def start(self, **request):
        self.requests.append(request)
        return len(self.requests)

    def adapt(self, **request):
        return self.start(**request)

    def cancel(self):
        self.cancelled += 1

    def close(self):
        self.closed += 1


class Bench:
    def __init__(self, tmp_path, qtbot):
        self.store = tmp_path / "s.fddm.ome.zarr"
        make(self.store).close()
        self.fingerprint = "abc"
        self.viewer, self.state, self.worker = ViewerModel(), PluginState(), FakeWorker()
        self.parent = QWidget()
        qtbot.addWidget(self.parent)
        self.panels = Panels.build(self.parent)
        self.controller = Controller(
            self.viewer, self.state, self.panels, parent=self.parent, worker=self.worker
        )

    def open_slide(self, uri=URI):
        data, options, _ = slide_layer_data(open_slide(uri), uri)
        return self.viewer.add_image(data, **options)

    def answer(self, event, number=None):
        number = len(self.worker.requests) if number is None else number
        self.worker.answered.emit(number, RunEvent(number, event))

    def opened(self, corrected=None):
        shape = GEOMETRIES.label.shape
        automatic = np.zeros(shape, np.uint8)
        return AnalysisOpened(
            str(self.store),
            GEOMETRIES.tile,
            GEOMETRIES.label,
            np.zeros(GEOMETRIES.tile.shape, np.uint8),
            automatic,
            automatic if corrected is None else corrected,
            {"name": "slide-1", "fingerprint": self.fingerprint},
            {"id": "x", "real_tissue": False},
        )

    def start(self):
        self.open_slide()
        self.controller.run.start(Scope.SLIDE)
        self.answer(self.opened())
        while self.controller.current.add_next():  # which comes by itself, a little later
            pass


def refined_halves(bench):
    """An analysis whose left half is necrosis and whose right half is viable."""
    bench.start()
    shape = bench.controller.current.layer.data.shape
    labels = np.full(shape, 2, np.uint8)
    labels[:, : shape[1] // 2] = 3
    bench.answer(RegionRefined(Window(0, 0, *shape), labels, 1, 1))
    bench.controller.rate.refresh()
    return bench.controller.current
