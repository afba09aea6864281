"""The run panel: what to analyze, with which settings, and how far the run is. Qt only."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_fddm.core.config import AnalysisConfig, StageName
from napari_fddm.plugin.panels.advanced_settings import AdvancedSettings
from napari_fddm.plugin.panels.section import GAP_PX
from napari_fddm.plugin.panels.settings_form import map_size_text
from napari_fddm.plugin.panels.tissue_row import TissueRow
from napari_fddm.plugin.panels.widgets import narrow, wrapped_label
from napari_fddm.plugin.plumbing.plain_text import PlainLabel
from napari_fddm.plugin.state.window_state import RunPhase, RunProgress, Scope, ShownSlide

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCOPES = {
    Scope.VIEWPORT: "What the window shows",
    Scope.DRAWN: "The drawn region",
    Scope.SLIDE: "The whole slide",
}


class MapKind(StrEnum):
    """The kinds of label map that a run can make."""

    REFINED = "refined"
    CELLS = "cells"
    TILES = "patch"


MAP_TITLES = {
    MapKind.REFINED: "Refined cells",
    MapKind.CELLS: "Cells",
    MapKind.TILES: "Tiles only",
}
_STAGES: dict[MapKind, dict[str, Any]] = {
    MapKind.REFINED: {"stage": StageName.REFINED.value},
    MapKind.CELLS: {"stage": StageName.REFINED.value, "steps": 0},
    MapKind.TILES: {"stage": StageName.PATCH.value},
}
"""The settings of `AnalysisConfig` that produce each kind of map."""


class RunPanel(QWidget):
    """Starts runs and shows their progress.

    Signals
    -------
    run_clicked : str
        The chosen `Scope`.
    cancel_clicked
        The user wants to stop the run.
    draw_clicked
        The user wants to draw the region to analyze.
    scope_chosen
        The scope or the stage was changed, so the estimated effort may differ.
    """

    run_clicked = Signal(str)
    cancel_clicked = Signal()
    draw_clicked = Signal()
    scope_chosen = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._has_slide, self._can_refine = False, True
        self._slide: ShownSlide | None = None
        self.scope_box = narrow(QComboBox())
        for scope, title in SCOPES.items():
            self.scope_box.addItem(title, scope.value)
        self.draw_button = QPushButton("Draw")
        self.draw_button.setToolTip("Draw a rectangle on the slide and analyze that.")
        self.estimate_label = wrapped_label()
        self.estimate_label.setToolTip(
            "Tiles without tissue are left out when the run starts. Refined cells also need the "
            "tiles around them."
        )
        default = AnalysisConfig()
        self.stage_box = narrow(QComboBox())
        for kind, title in MAP_TITLES.items():
            self.stage_box.addItem(title, kind.value)
        self.stage_box.setToolTip(
            "Refined cells: one class per cell of 32 µm, after refinement. Cells: the same cells "
            "without refinement. Tiles only: one class per tile of 256 µm, and a rate of whole "
            "tiles."
        )
        self.samples_box = QSpinBox()
        self.samples_box.setRange(1, 64)
        self.samples_box.setPrefix("samples: ")
        self.samples_box.setValue(default.samples)
        self.samples_box.setToolTip("How many refinements of each region are averaged.")
        self.tissue_row = TissueRow()
        self.advanced = AdvancedSettings()
        self.device_label = PlainLabel("starting the engine…")
        self.device_label.setToolTip("The device that runs the networks, and its precision.")
        self.device_label.setEnabled(False)  # gray: rarely needed
        self.run_button = QPushButton("Run FDDM")
        self.run_button.setObjectName("run")
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setObjectName("cancel")
        self.progress_bar = QProgressBar()
        self.progress_bar.setTextVisible(True)
        self.progress_bar.hide()
        self.status_label = wrapped_label(name="status")
        self._lay_out()
        self.run_button.clicked.connect(self._on_run_button_clicked)
        self.draw_button.clicked.connect(self._on_draw_button_clicked)
        self.scope_box.currentIndexChanged.connect(self._on_scope_box_changed)
        self.stage_box.currentIndexChanged.connect(self._on_stage_box_changed)
        self.advanced.label_mpp_changed.connect(self._on_advanced_label_mpp_changed)
        self.cancel_button.clicked.connect(self.cancel_clicked)
        self.set_slide(None)
        self.set_progress(RunProgress())

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        scope = QHBoxLayout()
        scope.addWidget(self.scope_box, 1)
        scope.addWidget(self.draw_button)
        form.addRow("Analyze", scope)
        form.addRow("", self.estimate_label)
        stage = QHBoxLayout()
        stage.addWidget(self.stage_box, 1)
        stage.addWidget(self.samples_box)
        form.addRow("Stage", stage)
        form.addRow("Tissue", self.tissue_row)
        buttons = QHBoxLayout()
        buttons.addWidget(self.run_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP_PX)
        layout.addLayout(form)
        layout.addWidget(self.advanced)
        layout.addLayout(buttons)
        layout.addWidget(self.progress_bar)
        layout.addWidget(self.status_label)
        layout.addWidget(self.device_label)

    @property
    def scope(self) -> Scope:
        """The chosen part of the slide."""
        return Scope(self.scope_box.currentData())

    @property
    def config(self) -> Mapping[str, Any]:
        """The chosen settings, as fields of `AnalysisConfig`."""
        return {
            "samples": self.samples_box.value(),
            **self.advanced.values,
            **_STAGES[self.kind],
        }

    @property
    def kind(self) -> MapKind:
        """The chosen kind of label map."""
        return MapKind(self.stage_box.currentData())

    def set_config(self, config: Mapping[str, Any]) -> None:
        """Show other settings, e.g. those of an earlier run.

        The device stays as it is, and so does the choice of tiles only.
        """
        cells = config.get("steps") == 0  # chosen in the box, not as a number of steps
        fixed = {"device", "steps"} if cells else {"device"}
        self.advanced.set_values({k: v for k, v in config.items() if k not in fixed})
        if "samples" in config:
            self.samples_box.setValue(config["samples"])
        if cells:
            self._choose(MapKind.CELLS)
        elif "steps" in config and self.kind is MapKind.CELLS:
            self._choose(MapKind.REFINED)

    def set_can_refine(self, can_refine: bool, *, otherwise: MapKind = MapKind.CELLS) -> None:
        """Offer refined cells, or do not where the model has no refiner.

        Parameters
        ----------
        can_refine : bool
            Whether the model has a refiner.
        otherwise : MapKind
            What is chosen instead if it has none.
        """
        if not can_refine and self.kind is MapKind.REFINED:
            self._choose(otherwise)
        elif can_refine and not self._can_refine:
            self._choose(MapKind.REFINED)
        self._can_refine = can_refine
        item = self.stage_box.model().item(self.stage_box.findData(MapKind.REFINED.value))
        item.setEnabled(can_refine)

    def _choose(self, kind: MapKind) -> None:
        self.stage_box.setCurrentIndex(self.stage_box.findData(kind.value))

    def set_device(self, title: str) -> None:
        """Show which device runs the networks."""
        self.device_label.setText(f"runs on {title}")

    def set_devices(self, present: Sequence[str]) -> None:
        """Offer the devices of this computer."""
        self.advanced.set_devices(present)

    def set_slide(self, info: ShownSlide | None) -> None:
        """Allow runs on a slide; None if there is no slide."""
        self._has_slide = info is not None
        self._slide = info
        self._on_advanced_label_mpp_changed(self.advanced.values["label_mpp"])
        self.run_button.setEnabled(info is not None)
        self.draw_button.setEnabled(info is not None)

    def set_estimate(self, text: str) -> None:
        """Show how many tiles a run would analyze."""
        self.estimate_label.setText(text)

    def set_progress(self, progress: RunProgress) -> None:
        """Show the progress of the run."""
        busy = progress.phase is not RunPhase.IDLE
        self.cancel_button.setEnabled(progress.phase in (RunPhase.STARTING, RunPhase.RUNNING))
        self.run_button.setText("Running…" if busy else "Run FDDM")
        self.run_button.setEnabled(self._has_slide and not busy)
        self.progress_bar.setVisible(busy)
        self.progress_bar.setMaximum(progress.total)
        self.progress_bar.setValue(progress.done)
        self.status_label.setText(progress.text)
        self.status_label.setVisible(bool(progress.text))

    def _on_run_button_clicked(self) -> None:
        self.run_clicked.emit(self.scope_box.currentData())

    def _on_draw_button_clicked(self) -> None:
        self.scope_box.setCurrentIndex(self.scope_box.findData(Scope.DRAWN.value))
        self.draw_clicked.emit()

    def _on_stage_box_changed(self, _index: int) -> None:
        self.samples_box.setEnabled(self.kind is MapKind.REFINED)
        self.scope_chosen.emit()

    def _on_advanced_label_mpp_changed(self, label_mpp: float) -> None:
        info, text = self._slide, ""
        if info is not None and info.mpp is not None:
            text = map_size_text(info.shape, info.mpp, label_mpp)
        self.advanced.size_label.setText(text)

    def _on_scope_box_changed(self, _index: int) -> None:
        self.scope_chosen.emit()
