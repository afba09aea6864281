"""The rate panel: the necrosis rate, the areas behind it, estimate, tumor bed and export. Qt only.

The rate itself is in `RatePanel.head`, a widget of its own: the dock keeps it visible while
the rest scrolls, because the rate must be seen while the brush moves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_fddm.core.necrosis import DEFINITIONS, GOOD_RESPONSE, MIN_BED_MM2, beside
from napari_fddm.plugin.panels.definition_table import DefinitionTable
from napari_fddm.plugin.panels.widgets import (
    CAUTION_COLOR,
    NO_RESULT,
    WARNING_STYLE,
    narrow,
    percent,
    wrapped_label,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fddm.core.necrosis import NecrosisDefinition, NecrosisReport, RateResult

RESEARCH_ONLY = "Research use only. Not a diagnosis."
LEFT_OUT = "left out by the tissue mask: {:.2f} mm² of the slide"
OUTLINE_BED, DRAW_BED = "Outline the tumor bed", "Drag around the tumor bed"


class RatePanel(QWidget):
    """Shows the necrosis rate, kept up to date while the user corrects.

    Signals
    -------
    definition_chosen : str
        Name of the definition whose rate is shown large.
    export_clicked
        The user wants to export the analysis.
    outline_clicked, outline_removed
        The user wants to draw the tumor bed, or to remove its outline.
    estimate_first_toggled : bool
        Whether computed numbers are hidden until the reader has entered an estimate.
    estimate_entered : float
        The reader's own estimate of the rate, in [0, 1].
    """

    definition_chosen = Signal(str)
    export_clicked = Signal()
    outline_clicked = Signal()
    outline_removed = Signal()
    estimate_first_toggled = Signal(bool)
    estimate_entered = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._left_out_mm2: float | None = None
        self._caution = ""
        self.rate_label = QLabel(NO_RESULT)
        self.rate_label.setObjectName("rate")
        self.rate_label.setStyleSheet("font-size: 30px; font-weight: bold;")
        self.grade_label = wrapped_label()
        self.definition_box = narrow(QComboBox())
        self.set_definitions(tuple(DEFINITIONS.values()))
        self.detail_label = wrapped_label()
        self.definition_table = DefinitionTable()
        self.estimate_box = QCheckBox("My estimate first")
        self.estimate_box.setToolTip(
            "Hide the computed rate and the areas until you have entered your own estimate. "
            "The analysis keeps both."
        )
        self.estimate_spin = QDoubleSpinBox()
        self.estimate_spin.setRange(-1.0, 100.0)
        self.estimate_spin.setSpecialValueText("?")  # below 0: no estimate yet
        self.estimate_spin.setDecimals(0)
        self.estimate_spin.setSuffix(" %")
        self.estimate_spin.setValue(-1.0)
        self.estimate_button = QPushButton("Enter my estimate")
        self.estimate_button.setEnabled(False)
        self.estimate_button.setToolTip("An estimate is final: it cannot be changed afterwards.")
        self.estimate_label = QLabel()
        self.bed_label = wrapped_label()
        self.bed_label.hide()
        self.outline_button = QPushButton(OUTLINE_BED)
        self.outline_button.setToolTip(
            "Draw around the tumor bed. The rate inside it is shown beside the rate of all tissue."
        )
        self.outline_button.setEnabled(False)
        self.outline_button.setCheckable(True)
        self.remove_button = QPushButton("Remove")
        self.remove_button.setToolTip("Remove the outline of the tumor bed.")
        self.remove_button.hide()
        self.badge_label = wrapped_label()
        self.badge_label.setStyleSheet(f"color: {CAUTION_COLOR};")
        self.badge_label.hide()
        self.saved_label = wrapped_label()
        self.export_button = QPushButton("Export…")
        self.export_button.setObjectName("export")
        self.export_button.setToolTip(
            "Write a copy of the analysis for other programs, by default without the slide's name."
        )
        self.export_button.setEnabled(False)
        self._lay_out()
        self.definition_box.currentIndexChanged.connect(self._on_definition_box_changed)
        self.export_button.clicked.connect(self.export_clicked)
        self.outline_button.clicked.connect(self.outline_clicked)
        self.remove_button.clicked.connect(self.outline_removed)
        self.estimate_box.toggled.connect(self.estimate_first_toggled)
        self.estimate_button.clicked.connect(self._on_estimate_button_clicked)
        self.estimate_spin.valueChanged.connect(self._on_estimate_spin_changed)
        self.set_estimate(None, asking=False)

    def _lay_out(self) -> None:
        self.head = QWidget()
        top = QHBoxLayout()
        top.addWidget(self.rate_label)
        top.addWidget(self.grade_label, 1)
        estimate = QHBoxLayout()
        estimate.addWidget(self.estimate_spin)
        estimate.addWidget(self.estimate_button, 1)
        head = QVBoxLayout(self.head)
        head.setContentsMargins(9, 0, 9, 0)  # as wide as the panels that scroll above it
        head.setSpacing(4)
        head.addLayout(top)
        head.addLayout(estimate)
        head.addWidget(self.definition_box)
        head.addWidget(self.detail_label)
        head.addWidget(self.bed_label)
        head.addWidget(self.badge_label)
        head.addWidget(QLabel(RESEARCH_ONLY))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        buttons = QHBoxLayout()
        buttons.addWidget(self.outline_button, 2)
        buttons.addWidget(self.remove_button)
        buttons.addWidget(self.export_button, 1)
        for widget in (self.estimate_box, self.estimate_label, self.definition_table):
            layout.addWidget(widget)
        layout.addLayout(buttons)
        layout.addWidget(self.saved_label)

    def set_definitions(self, definitions: Sequence[NecrosisDefinition]) -> None:
        """Offer definitions, each with its formula and source as tooltip."""
        with signals_blocked(self.definition_box):
            self.definition_box.clear()
            for index, definition in enumerate(definitions):
                self.definition_box.addItem(definition.title, definition.name)
                tip = f"{definition.formula}\n{definition.source}"
                self.definition_box.setItemData(index, tip, Qt.ItemDataRole.ToolTipRole)

    def set_left_out(self, mm2: float | None) -> None:
        """Set how much of the slide the tissue mask left out, mm²; shown with the next report."""
        self._left_out_mm2 = mm2

    def set_caution(self, text: str) -> None:
        """Set why the numbers are not those of a finished analysis; shown with the next report."""
        self._caution = text

    def set_reports(
        self, corrected: NecrosisReport | None, automatic: NecrosisReport | None
    ) -> None:
        """Show the rates with and without corrections; None shows that there is no result."""
        self.export_button.setEnabled(corrected is not None)
        self.outline_button.setEnabled(corrected is not None)
        if corrected is None or automatic is None:
            self.rate_label.setText(NO_RESULT)
            self.grade_label.clear()
            self.detail_label.clear()
            self.definition_table.set_report(None)
            return
        main = corrected.main
        self.rate_label.setText(percent(main))
        tip = f"{main.definition.formula}\n{main.definition.source}"
        if self.rate_label.toolTip() != tip:
            self.rate_label.setToolTip(tip)
        self.grade_label.setText(_grade_text(corrected))
        lines = [self._caution] if self._caution else []
        lines.append(_detail_text(corrected, automatic))
        if self._left_out_mm2 is not None:
            lines.append(LEFT_OUT.format(self._left_out_mm2))
        self.detail_label.setText("\n".join(lines))
        self.definition_table.set_report(corrected)

    def set_estimate(self, rate: float | None, *, asking: bool) -> None:
        """Show the reader's estimate, if there is one; ``asking`` shows the field to enter it."""
        self.estimate_spin.setVisible(asking)
        self.estimate_button.setVisible(asking)
        self.estimate_label.setVisible(rate is not None)
        if rate is not None:
            self.estimate_label.setText(f"my estimate: {100 * rate:.0f} %")

    def set_bed_report(self, report: NecrosisReport | None) -> None:
        """Show the rate inside the tumor bed; None hides it."""
        self.bed_label.setVisible(report is not None)
        self.remove_button.setVisible(report is not None)
        self.definition_table.set_bed_report(report)
        if report is not None:
            main = report.main
            grade = f"Huvos {main.huvos}" if main.huvos else main.reason
            self.bed_label.setText(
                f"inside the outline: {percent(main)} ({grade}), {_denominator_text(main)}"
            )

    def set_outlining(self, outlining: bool) -> None:
        """Show whether the mouse draws the tumor bed now."""
        self.outline_button.setChecked(outlining)
        self.outline_button.setText(DRAW_BED if outlining else OUTLINE_BED)

    def set_unrefined(self, *, started: bool) -> None:
        """Show that there is no rate yet; ``started`` is whether tiles were classified."""
        self.rate_label.setText(NO_RESULT)
        self.grade_label.setText(
            "only tiles so far, nothing is refined yet" if started else "not analyzed yet"
        )

    def set_badge(self, text: str) -> None:
        """Show a warning about the model that the rate comes from; empty hides it."""
        self.badge_label.setText(text)
        self.badge_label.setVisible(bool(text))

    def set_saved(self, text: str, tip: str, *, warning: bool = False) -> None:
        """Show whether the strokes are saved, with details as tooltip."""
        self.saved_label.setText(text)
        self.saved_label.setToolTip(tip)
        self.saved_label.setStyleSheet(WARNING_STYLE if warning else "")

    def _on_estimate_spin_changed(self, value: float) -> None:
        self.estimate_button.setEnabled(value >= 0)

    def _on_estimate_button_clicked(self) -> None:
        self.estimate_entered.emit(self.estimate_spin.value() / 100)

    def _on_definition_box_changed(self, _index: int) -> None:
        self.definition_chosen.emit(self.definition_box.currentData())


def _grade_text(report: NecrosisReport) -> str:
    main = report.main
    if main.rate is None or main.huvos is None:
        return main.reason
    side = "at or above" if main.rate >= GOOD_RESPONSE else "below"
    return f"Huvos {main.huvos}\n{side} the 90 % line"


def _detail_text(corrected: NecrosisReport, automatic: NecrosisReport) -> str:
    rates = f"AI {percent(automatic.main)} → corrected {percent(corrected.main)}"
    basis = _denominator_text(corrected.main)
    if corrected.coverage is not None:
        share = beside(corrected.coverage, 1.0, digits=0, per=100)
        basis += f", on {share}% of the slide's tissue"
    return f"{rates}, edited {corrected.edited:.1%} of the area\n{basis}"


def _denominator_text(result: RateResult) -> str:
    """Return the classes that a rate is a share of, and their area."""
    classes = " + ".join(result.definition.denominator)
    area = beside(result.denominator_mm2, MIN_BED_MM2, 0.0, digits=2)
    return f"{classes}: {area} mm²"
