"""The run panel: model, scope, advanced settings, Run FDDM, progress. Emits intent only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import Container, FloatSlider, SpinBox
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible, QElidingLabel

from napari_fddm.core.config import AnalysisConfig
from napari_fddm.plugin.state import Progress, RunPhase, Scope, SlideInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

SCOPES = {
    Scope.VIEWPORT: "What the window shows",
    Scope.DRAWN: "The drawn region",
    Scope.SLIDE: "The whole slide",
}


class RunPanel(QWidget):
    """Asks for an analysis and shows how far it is.

    Signals
    -------
    run_clicked : str
        The chosen `Scope`.
    cancel_clicked
        The user wants to stop.
    draw_clicked
        The user wants to draw the region to analyze.
    scope_chosen
        What a run would cost may have changed.
    """

    run_clicked = Signal(str)
    cancel_clicked = Signal()
    draw_clicked = Signal()
    scope_chosen = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._has_slide = False
        self.scope_box = narrow(QComboBox())
        for scope, title in SCOPES.items():
            self.scope_box.addItem(title, scope.value)
        self.draw_button = QPushButton("Draw")
        self.draw_button.setToolTip("Draw a rectangle on the slide and analyze that.")
        self.estimate_label = QLabel()
        self.estimate_label.setWordWrap(True)
        self.model_label = QElidingLabel("fddm-small (synthetic tissue only)")
        self.model_label.setToolTip(
            "The bundled model was trained on procedural slides. On real tissue its classes "
            "mean nothing until it is trained on slides of your own."
        )
        self.settings = _settings_form()
        self.advanced = QCollapsible("Advanced")
        self.advanced.addWidget(self.settings.native)
        self.run_button = QPushButton("Run FDDM")
        self.run_button.setObjectName("run")
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setObjectName("cancel")
        self.progress_bar = QProgressBar()
        self.progress_bar.setTextVisible(True)
        self.progress_bar.hide()
        self.status_label = QLabel()
        self.status_label.setObjectName("status")
        self.status_label.setWordWrap(True)
        self._lay_out()
        self.run_button.clicked.connect(self._on_run_button_clicked)
        self.draw_button.clicked.connect(self._on_draw_button_clicked)
        self.scope_box.currentIndexChanged.connect(self._on_scope_box_changed)
        self.cancel_button.clicked.connect(self.cancel_clicked)
        self.set_slide(None)
        self.set_progress(Progress())

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Model", self.model_label)
        scope = QHBoxLayout()
        scope.addWidget(self.scope_box, 1)
        scope.addWidget(self.draw_button)
        form.addRow("Analyze", scope)
        form.addRow("", self.estimate_label)
        buttons = QHBoxLayout()
        buttons.addWidget(self.run_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self.advanced)
        layout.addLayout(buttons)
        layout.addWidget(self.progress_bar)
        layout.addWidget(self.status_label)

    @property
    def scope(self) -> Scope:
        """What a run shall look at."""
        return Scope(self.scope_box.currentData())

    @property
    def config(self) -> Mapping[str, Any]:
        """The advanced settings, as fields of `AnalysisConfig`."""
        return dict(self.settings.asdict())

    def set_slide(self, info: SlideInfo | None) -> None:
        """Without a slide nothing can be run."""
        self._has_slide = info is not None
        self.run_button.setEnabled(info is not None)
        self.draw_button.setEnabled(info is not None)

    def set_estimate(self, text: str) -> None:
        """Say how much a run would look at."""
        self.estimate_label.setText(text)

    def set_progress(self, progress: Progress) -> None:
        """Show how far the run is."""
        busy = progress.phase is not RunPhase.IDLE
        self.cancel_button.setEnabled(progress.phase in (RunPhase.STARTING, RunPhase.RUNNING))
        self.run_button.setText("Running…" if busy else "Run FDDM")
        self.run_button.setEnabled(self._has_slide and not busy)
        self.progress_bar.setVisible(busy)
        self.progress_bar.setMaximum(progress.total)
        self.progress_bar.setValue(progress.done)
        self.status_label.setText(progress.text)

    def _on_run_button_clicked(self) -> None:
        self.run_clicked.emit(self.scope_box.currentData())

    def _on_draw_button_clicked(self) -> None:
        self.scope_box.setCurrentIndex(self.scope_box.findData(Scope.DRAWN.value))
        self.draw_clicked.emit()

    def _on_scope_box_changed(self, _index: int) -> None:
        self.scope_chosen.emit()


def narrow(box: QComboBox) -> QComboBox:
    """Let a box be narrower than its longest entry, so that a small window clips nothing."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(12)
    return box


def _settings_form() -> Container[Any]:
    """Return the advanced settings; the names are those of `AnalysisConfig`."""
    default = AnalysisConfig()
    return Container(
        widgets=[
            SpinBox(
                name="steps",
                label="Bridge steps",
                value=default.steps,
                min=1,
                max=100,
                tooltip="Network calls per region; 1 is the direct refiner.",
            ),
            SpinBox(
                name="samples",
                label="Samples",
                value=default.samples,
                min=1,
                max=64,
                tooltip="Bridge samples that are averaged per region.",
            ),
            FloatSlider(
                name="eta",
                label="Eta",
                value=default.eta,
                min=0.0,
                max=1.0,
                tooltip="1: exact posterior; 0: without noise.",
            ),
            SpinBox(
                name="seed",
                label="Seed",
                value=default.seed,
                max=2**31 - 1,
                tooltip="Of the noise.",
            ),
        ]
    )
