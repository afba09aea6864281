"""The class panel: color, key, name, area and share of each tissue class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent

    from napari_fddm.core.classes import ClassTable
    from napari_fddm.core.necrosis import ClassAreas

COLUMNS = ("Key", "Class", "mm²", "Share")
SWATCH_PX = 16
ROW_PX = 24


class ClassPanel(QWidget):
    """A row per class; clicking one takes it into the brush.

    Signals
    -------
    class_clicked : int
        Label value.
    """

    class_clicked = Signal(int)

    def __init__(self, table: ClassTable, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._classes = table
        self.rows = QTableWidget(len(table), len(COLUMNS))
        self.rows.setHorizontalHeaderLabels(COLUMNS)
        self.rows.verticalHeader().hide()
        self.rows.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.rows.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.rows.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.rows.setShowGrid(False)
        for index, tissue in enumerate(table):
            key = QTableWidgetItem(str(tissue.value))
            key.setIcon(_swatch(tissue.display_rgb))
            name = QTableWidgetItem(tissue.name)
            name.setToolTip(
                f"{tissue.short}: {tissue.name} ({tissue.role.value.replace('_', ' ')})"
            )
            self.rows.setItem(index, 0, key)
            self.rows.setItem(index, 1, name)
            for column in (2, 3):
                number = QTableWidgetItem("–")
                number.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.rows.setItem(index, column, number)
        self._fit()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.rows)
        self.rows.cellClicked.connect(self._on_rows_cell_clicked)

    def set_areas(self, areas: ClassAreas | None) -> None:
        """Show areas and their share of what was analyzed."""
        total = areas.analyzed_mm2 if areas else 0.0
        for index, tissue in enumerate(self._classes):
            mm2 = areas.mm2(tissue.short) if areas else 0.0
            known = areas is not None and total > 0
            self.rows.item(index, 2).setText(f"{mm2:.2f}" if known else "–")
            self.rows.item(index, 3).setText(f"{mm2 / total:.1%}" if known else "–")

    def set_selected(self, value: int) -> None:
        """Mark the class that is in the brush; 0 marks none."""
        self.rows.clearSelection()
        if value:
            self.rows.selectRow(value - 1)

    def _fit(self) -> None:
        header = self.rows.horizontalHeader()
        for column in range(len(COLUMNS)):
            mode = QHeaderView.ResizeMode.ResizeToContents
            header.setSectionResizeMode(
                column, QHeaderView.ResizeMode.Stretch if column == 1 else mode
            )
        self.rows.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        for row in range(self.rows.rowCount()):
            self.rows.setRowHeight(row, ROW_PX)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Make the table as high as its rows, once the style has settled their sizes."""
        super().showEvent(event)
        frame = 2 * self.rows.frameWidth()
        header = max(self.rows.horizontalHeader().height(), ROW_PX)
        self.rows.setFixedHeight(header + ROW_PX * self.rows.rowCount() + frame)

    def _on_rows_cell_clicked(self, row: int, _column: int) -> None:
        self.class_clicked.emit(self._classes.values[row])


def _swatch(rgb: tuple[int, int, int]) -> QIcon:
    picture = QPixmap(SWATCH_PX, SWATCH_PX)
    picture.fill(QColor(*rgb))
    return QIcon(picture)
