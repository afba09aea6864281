"""The classes panel: a table of the classes with visibility, lock, key, area and share. Qt only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_fddm.core.class_guide import CLASS_GUIDE
from napari_fddm.plugin.panels import icons
from napari_fddm.plugin.panels.compare_row import CompareRow
from napari_fddm.plugin.panels.probability_row import ProbabilityRow
from napari_fddm.plugin.panels.widgets import ROW_PX, narrow, set_item_text
from napari_fddm.plugin.plumbing.plain_text import tooltip, wrapped_tooltip
from napari_fddm.plugin.state.display import PALETTE_TITLES, ClassDisplay

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent

    from napari_fddm.core.classes import ClassTable
    from napari_fddm.core.necrosis import ClassAreas

COLUMNS = ("", "", "", "Key", "Class", "mm²", "Share")
EYE, SOLO, LOCK, KEY, NAME, AREA, SHARE = range(len(COLUMNS))


class ClassesPanel(QWidget):
    """One row per class; clicking the name selects the class to paint with.

    Signals
    -------
    class_clicked : int
        Label value to paint with.
    exclude_clicked
        The user wants to exclude cells with the brush.
    lock_clicked : int
        Label value to protect from painting, or to unprotect.
    eye_clicked, solo_clicked : int
        Label value to show or hide, or to show alone.
    palette_chosen : str
        A `Palette`.
    outline_toggled : bool
        Whether classes are drawn as borders instead of filled areas.
    guide_clicked
        The user wants to read what belongs to each class.
    """

    class_clicked = Signal(int)
    exclude_clicked = Signal()
    lock_clicked = Signal(int)
    eye_clicked = Signal(int)
    solo_clicked = Signal(int)
    palette_chosen = Signal(str)
    outline_toggled = Signal(bool)
    guide_clicked = Signal()

    def __init__(self, table: ClassTable, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._classes = table
        self.rows = QTableWidget(len(table) + 1, len(COLUMNS))
        self.rows.setHorizontalHeaderLabels(COLUMNS)
        self.rows.verticalHeader().hide()
        self.rows.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.rows.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.rows.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.rows.setShowGrid(False)
        self.rows.setIconSize(QSize(icons.SIZE_PX, icons.SIZE_PX))
        self._fill()
        self._fit()
        self.palette_box = narrow(QComboBox())
        for palette, title in PALETTE_TITLES.items():
            self.palette_box.addItem(title, palette.value)
        self.outline_box = QCheckBox("Outlines")
        self.outline_box.setToolTip(
            "Draw only the borders of the classes, so that the tissue stays visible."
        )
        self.guide_button = QPushButton("Class guide")
        self.guide_button.setToolTip("What belongs to each class, with sources.")
        self.compare_row = CompareRow()
        self.probability_row = ProbabilityRow(table)
        self._lay_out()
        self.set_display(ClassDisplay())
        self.set_locked(frozenset())
        self.rows.cellClicked.connect(self._on_rows_cell_clicked)
        self.palette_box.activated.connect(self._on_palette_box_activated)
        self.outline_box.toggled.connect(self.outline_toggled)
        self.guide_button.clicked.connect(self.guide_clicked)

    def _fill(self) -> None:
        for index, tissue in enumerate(self._classes):
            name = QTableWidgetItem(tissue.name)
            role = tissue.role.value.replace("_", " ")
            guide = CLASS_GUIDE[index].text
            name.setToolTip(wrapped_tooltip(f"{tissue.short}: {tissue.name} ({role}). {guide}"))
            key = QTableWidgetItem(str(tissue.value))
            key.setToolTip(tooltip(f"Press {tissue.value} to paint {tissue.name}."))
            eye, solo, lock = (QTableWidgetItem() for _ in range(3))
            eye.setToolTip(tooltip(f"Show or hide {tissue.name}. Labels and rate do not change."))
            solo.setToolTip(tooltip(f"Show only {tissue.name}, or all classes again."))
            lock.setToolTip(tooltip(f"Protect {tissue.name} from being painted over."))
            self._set_row(index, {EYE: eye, SOLO: solo, LOCK: lock, KEY: key, NAME: name})
        name = QTableWidgetItem("excluded by hand")
        name.setToolTip(
            "Cells that you excluded, e.g. folds, pen marks, bone dust or a duplicate section. "
            "They count in no area and no rate, and are hatched on the slide. Restore undoes it."
        )
        key = QTableWidgetItem("X")
        key.setToolTip("Press X to exclude with the brush, and X again to paint classes.")
        self._set_row(self._exclude_row, {KEY: key, NAME: name})

    @property
    def _exclude_row(self) -> int:
        return len(self._classes)

    def _set_row(self, index: int, items: dict[int, QTableWidgetItem]) -> None:
        for column in range(len(COLUMNS)):
            item = items.get(column)
            if item is None:
                item = QTableWidgetItem("–" if column in (AREA, SHARE) else "")
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.rows.setItem(index, column, item)

    def _lay_out(self) -> None:
        options = QHBoxLayout()
        options.addWidget(self.palette_box, 1)
        options.addWidget(self.outline_box)
        options.addWidget(self.guide_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.rows)
        layout.addLayout(options)
        layout.addWidget(self.compare_row)
        layout.addWidget(self.probability_row)

    def set_areas(self, areas: ClassAreas | None, excluded_mm2: float = 0.0) -> None:
        """Show the area of each class, its share of the analyzed area, and the excluded area."""
        total = areas.analyzed_mm2 if areas else 0.0
        for index, tissue in enumerate(self._classes):
            mm2 = areas.mm2(tissue.short) if areas else 0.0
            known = areas is not None and total > 0
            self._write(index, AREA, f"{mm2:.2f}" if known else "–")
            self._write(index, SHARE, f"{mm2 / total:.1%}" if known else "–")
        self._write(self._exclude_row, AREA, f"{excluded_mm2:.2f}" if areas else "–")

    def _write(self, row: int, column: int, text: str) -> None:
        set_item_text(self.rows.item(row, column), text)

    def set_selected(self, value: int) -> None:
        """Select the row of the class that the brush paints; 0 selects none."""
        self.rows.clearSelection()
        if value:
            self.rows.selectRow(value - 1)

    def set_excluding(self) -> None:
        """Select the row of excluded cells: the brush excludes."""
        self.rows.selectRow(self._exclude_row)

    def set_locked(self, locked: frozenset[int]) -> None:
        """Show which classes are protected from painting."""
        ink = icons.ink()
        for index, tissue in enumerate(self._classes):
            icon = icons.padlock(ink, closed=tissue.value in locked)
            self.rows.item(index, LOCK).setIcon(icon)

    def set_display(self, display: ClassDisplay) -> None:
        """Show which classes are visible, in which colors, and whether as outlines."""
        ink = icons.ink()
        for index, tissue in enumerate(self._classes):
            shown = display.shows(tissue.value)
            self.rows.item(index, EYE).setIcon(icons.eye(ink, opened=shown))
            lit = display.solo == tissue.value
            self.rows.item(index, SOLO).setIcon(icons.spot(ink, lit=lit))
            self.rows.item(index, KEY).setIcon(icons.swatch(display.rgb(tissue), shown=shown))
        self.rows.item(self._exclude_row, KEY).setIcon(icons.hatch())
        self.palette_box.setCurrentIndex(self.palette_box.findData(display.palette.value))
        with signals_blocked(self.outline_box):
            self.outline_box.setChecked(display.outline)

    def _fit(self) -> None:
        header = self.rows.horizontalHeader()
        header.setMinimumSectionSize(ROW_PX)
        for column in range(len(COLUMNS)):
            mode = QHeaderView.ResizeMode.ResizeToContents
            if column == NAME:
                mode = QHeaderView.ResizeMode.Stretch
            elif column in (EYE, SOLO, LOCK):
                mode = QHeaderView.ResizeMode.Fixed
                self.rows.setColumnWidth(column, ROW_PX)
            header.setSectionResizeMode(column, mode)
        self.rows.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        for row in range(self.rows.rowCount()):
            self.rows.setRowHeight(row, ROW_PX)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Fit the table's height to its rows, whose sizes the style sets only when it is shown."""
        super().showEvent(event)
        frame = 2 * self.rows.frameWidth()
        header = max(self.rows.horizontalHeader().height(), ROW_PX)
        self.rows.setFixedHeight(header + ROW_PX * self.rows.rowCount() + frame)

    def _on_rows_cell_clicked(self, row: int, column: int) -> None:
        if row == self._exclude_row:
            self.exclude_clicked.emit()
            return
        signals = {EYE: self.eye_clicked, SOLO: self.solo_clicked, LOCK: self.lock_clicked}
        signals.get(column, self.class_clicked).emit(self._classes.values[row])

    def _on_palette_box_activated(self, _index: int) -> None:
        self.palette_chosen.emit(self.palette_box.currentData())
