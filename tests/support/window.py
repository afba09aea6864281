"""Hands and eyes for a real napari window: mouse, keys, screenshots."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari._qt.dialogs.qt_notification import NapariQtNotification
from napari._qt.utils import QImg2array
from PIL import Image
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QImage
from scripts.tidy_pictures import LARGEST_BYTES

from napari_fddm.core.necrosis import ClassAreas, compute_rate, find_definition
from napari_fddm.plugin.panels.widgets import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    import napari
    import numpy.typing as npt
    from qtpy.QtWidgets import QWidget

    from napari_fddm.plugin.document import Analysis

SCREENSHOTS = os.environ.get("FDDM_SCREENSHOTS")
RUN_MS = 900_000 if SCREENSHOTS else 180_000
"""The screenshots are made with the bundled model, which is no toy."""


class Window:
    """A viewer with the dock widget, driven as a person would."""

    def __init__(self, viewer: napari.Viewer, qtbot) -> None:
        self.viewer, self.qtbot = viewer, qtbot
        self.canvas = viewer.window._qt_viewer.canvas.native
        viewer.window._qt_window.resize(1400, 950)

    def open_widget(self, model: Path):
        _, self.widget = self.viewer.window.add_plugin_dock_widget("napari-fddm")
        self.widget.state.model_name = str(model)
        return self.widget

    def let_go(self) -> None:
        """Drop every reference, so that napari's leak check sees only real leaks."""
        del self.viewer, self.canvas, self.widget

    @property
    def analysis(self) -> Analysis:
        return self.widget.controller.current

    def look_at(self, center_um: tuple[float, float], width_um: float) -> None:
        camera = self.viewer.scene.camera
        camera.center = center_um
        camera.zoom = self.canvas.width() / width_um
        self.qtbot.wait(300)

    def run(self, scope_index: int = 0) -> None:
        panel = self.widget.panels.run
        panel.scope_box.setCurrentIndex(scope_index)
        self.qtbot.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
        assert self.widget.state.busy
        self.wait_until_idle()

    def wait_until_idle(self) -> None:
        self.qtbot.waitUntil(lambda: not self.widget.state.busy, timeout=RUN_MS)

    def drag(self, points: Sequence[tuple[int, int]]) -> None:
        """Drag the left button through points, px from the canvas center."""
        center = QPoint(self.canvas.width() // 2, self.canvas.height() // 2)
        places = [center + QPoint(x, y) for x, y in points]
        left = Qt.MouseButton.LeftButton
        self.qtbot.mouseMove(self.canvas, places[0])
        self.qtbot.mousePress(self.canvas, left, pos=places[0])
        for place in places[1:]:
            self.move_to(place)
        self.qtbot.mouseRelease(self.canvas, left, pos=places[-1])
        self.qtbot.wait(50)

    def move_to(self, place: QPoint) -> None:
        """Move there as a hand does, in more than one move: Qt drops some under load."""
        for step in (QPoint(1, 0), QPoint(0, 0)):
            self.qtbot.mouseMove(self.canvas, place + step)
            self.qtbot.wait(20)

    def key(self, key: Qt.Key, modifier=Qt.KeyboardModifier.NoModifier) -> None:
        self.qtbot.keyClick(self.canvas, key, modifier)
        self.qtbot.wait(50)

    def class_row(self, row: int, column: int) -> str:
        """What the class panel shows."""
        return self.widget.panels.classes.rows.item(row, column).text()

    def click_class(self, row: int, column: int) -> None:
        """Click a cell of the class panel."""
        rows = self.widget.panels.classes.rows
        place = rows.visualItemRect(rows.item(row, column)).center()
        self.qtbot.mouseClick(rows.viewport(), Qt.MouseButton.LeftButton, pos=place)
        self.qtbot.wait(50)

    @property
    def rate_text(self) -> str:
        return self.widget.panels.rate.rate_label.text()

    def recounted_rate_text(self) -> str:
        """What a full recount of the layer gives, as the label would show it."""
        analysis = self.analysis
        areas = ClassAreas.from_labels(np.asarray(analysis.layer.data), analysis.geometry.cell_mm2)
        return percent(compute_rate(areas, find_definition("fddm")))

    def show(self, panel: QWidget) -> None:
        """Scroll the dock to a panel."""
        self.widget._scroll.ensureWidgetVisible(panel)
        self.qtbot.wait(50)

    def screenshot(self, name: str, of: QWidget | None = None) -> None:
        """Keep a picture of the window, or of a dialog, which the window's leaves out."""
        if not SCREENSHOTS:
            return
        for toast in self.viewer.window._qt_window.findChildren(NapariQtNotification):
            toast.close()  # it may name a folder of this machine
        self.qtbot.wait(400)
        keep_picture(
            self.viewer.screenshot(canvas_only=False, flash=False) if of is None else pixels_of(of),
            name,
        )


def pixels_of(widget: QWidget) -> npt.NDArray[np.uint8]:
    """Return what a widget looks like, uint8 (h, w, 4)."""
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGBA8888)
    return QImg2array(image)


def keep_picture(pixels: npt.NDArray[np.uint8], name: str) -> None:
    """Write a picture into the folder of screenshots, small enough for a repository.

    With a palette of its own, as large as the size allows; refined, so that the even
    areas of the window keep their color, and not dithered, so that letters stay sharp.
    """
    folder = Path(SCREENSHOTS or ".")
    folder.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(pixels).convert("RGB")
    for colors in (256, 192, 128, 96, 64, 48):
        few = picture.quantize(
            colors, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE
        )
        data = io.BytesIO()
        few.save(data, "PNG", optimize=True)
        if data.tell() <= LARGEST_BYTES:
            break
    (folder / f"{name}.png").write_bytes(data.getvalue())
