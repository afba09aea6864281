"""The table of rates: every necrosis definition, over all tissue and inside the tumor bed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from napari_fddm.plugin.panels.widgets import ROW_PX, rate_and_grade, set_item_text
from napari_fddm.plugin.plumbing.plain_text import tooltip

if TYPE_CHECKING:
    from napari_fddm.core.necrosis import NecrosisReport, RateResult

COLUMNS = ("Definition", "All tissue", "In the outline")
TITLE, RATE, BED_RATE = range(len(COLUMNS))


class DefinitionTable(QTableWidget):
    """One row per definition: rate and Huvos grade, with formula and source as tooltip."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(COLUMNS), parent)
        self.setHorizontalHeaderLabels(COLUMNS)
        self.verticalHeader().hide()
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setShowGrid(False)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header = self.horizontalHeader()
        header.setMinimumSectionSize(ROW_PX)
        for column in range(len(COLUMNS)):
            fit = QHeaderView.ResizeMode.ResizeToContents
            header.setSectionResizeMode(
                column, QHeaderView.ResizeMode.Stretch if column == TITLE else fit
            )
        self._bed: NecrosisReport | None = None
        self.set_report(None)

    def set_report(self, report: NecrosisReport | None) -> None:
        """Show the rates over all tissue; None empties and hides the table."""
        results = report.results if report else ()
        grown = len(results) != self.rowCount()
        self.setRowCount(len(results))
        for row, result in enumerate(results):
            self._put(row, TITLE, result.definition.title, _tip(result), left=True)
            self._put(row, RATE, rate_and_grade(result), _tip(result))
            if grown:
                self.setRowHeight(row, ROW_PX)
        self._fill_bed()
        header = max(self.horizontalHeader().sizeHint().height(), ROW_PX)
        self.setFixedHeight(header + ROW_PX * len(results) + 2 * self.frameWidth())
        self.setVisible(bool(results))

    def set_bed_report(self, report: NecrosisReport | None) -> None:
        """Show the rates inside the tumor bed in a column of their own; None hides it."""
        self._bed = report
        self._fill_bed()

    def _fill_bed(self) -> None:
        results = self._bed.results if self._bed else ()
        self.setColumnHidden(BED_RATE, not results)
        for row, result in enumerate(results[: self.rowCount()]):
            self._put(row, BED_RATE, rate_and_grade(result), _tip(result))

    def _put(self, row: int, column: int, text: str, tip: str, *, left: bool = False) -> None:
        item = self.item(row, column)
        if item is None:
            item = QTableWidgetItem()
            side = Qt.AlignmentFlag.AlignLeft if left else Qt.AlignmentFlag.AlignRight
            item.setTextAlignment(side | Qt.AlignmentFlag.AlignVCenter)
            self.setItem(row, column, item)
        set_item_text(item, text)
        shown = tooltip(tip)
        if item.toolTip() != shown:
            item.setToolTip(shown)


def _tip(result: RateResult) -> str:
    lines = [result.definition.formula, result.definition.source]
    return "\n".join([result.reason, *lines] if result.reason else lines)
