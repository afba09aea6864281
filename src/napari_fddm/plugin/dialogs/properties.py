"""The dialog with a slide's properties; what may identify a patient is shown only on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHBoxLayout,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_fddm.core.outside.text import visible
from napari_fddm.plugin.panels.widgets import qt_image, wrapped_label
from napari_fddm.plugin.plumbing.plain_text import PlainLabel, tooltip
from napari_fddm.slides.extras import LABEL, MACRO, THUMBNAIL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fddm.core.protocols import RgbImage

    Rows = Sequence[tuple[str, str]]

PICTURE_SIZE = (560, 220)
NAME_WIDTH = 250
CAUTIONS = {
    LABEL: "The label of the glass slide; it usually has the name or number of the patient.",
    MACRO: "A photograph of the whole glass slide; with many scanners it includes the label.",
    THUMBNAIL: "A small picture of the scanned area.",
}
UNKNOWN_PICTURE = (
    "The file does not say what this image shows; it may be the label of the glass slide."
)


class PropertiesDialog(QDialog):
    """A table of properties, with buttons for fields and images that may identify a patient.

    Signals
    -------
    picture_wanted : str
        The user wants to see this associated image.
    """

    picture_wanted = Signal(str)

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(visible(f"Properties of {name}"))
        self.resize(620, 620)
        self.table = QTableWidget(0, 2)
        self.hidden_button = QPushButton()
        self.hidden_button.setToolTip(
            "Fields that scanner or laboratory wrote, such as names, numbers, file names and "
            "dates. Only fields that are known not to identify a patient are shown right away."
        )
        self.buttons: dict[str, QPushButton] = {}
        self.picture = PlainLabel()
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.picture_label = wrapped_label()
        self._hidden: Rows = ()
        self._lay_out()
        self.hidden_button.clicked.connect(self._on_hidden_button_clicked)

    def _lay_out(self) -> None:
        table = self.table
        table.setHorizontalHeaderLabels(["property", "value"])
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        header, rows = table.horizontalHeader(), table.verticalHeader()
        if header is not None and rows is not None:
            header.setStretchLastSection(True)
            rows.hide()
        table.setColumnWidth(0, NAME_WIDTH)
        table.setWordWrap(False)
        close = QPushButton("Close")
        close.setDefault(True)
        close.clicked.connect(self.accept)
        self._row = QHBoxLayout()
        self._row.addStretch()
        self._row.addWidget(close)
        layout = QVBoxLayout(self)
        layout.addWidget(table, 1)
        layout.addWidget(self.hidden_button, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(self.picture)
        layout.addWidget(self.picture_label)
        layout.addLayout(self._row)
        self.picture.hide()
        self.picture_label.hide()

    def set_rows(self, shown: Rows, hidden: Rows) -> None:
        """Fill the table.

        Parameters
        ----------
        shown : sequence of (str, str)
            Names and values that cannot identify a patient.
        hidden : sequence of (str, str)
            All others; a button shows them.
        """
        self.table.setRowCount(0)
        self._append(shown)
        self._hidden = hidden
        self.hidden_button.setVisible(bool(hidden))
        fields = "1 more field" if len(hidden) == 1 else f"{len(hidden)} more fields"
        self.hidden_button.setText(f"Show {fields} (may identify the patient)")

    def set_pictures(self, names: Sequence[str]) -> None:
        """Add a button for each associated image."""
        for number, name in enumerate(names):
            kind = name if name not in (MACRO, LABEL) else f"{name} image"
            button = QPushButton(visible(f"Show {kind}"))
            button.setToolTip(tooltip(CAUTIONS.get(name, UNKNOWN_PICTURE)))
            button.setAutoDefault(False)
            button.clicked.connect(lambda _checked=False, n=name: self.picture_wanted.emit(n))
            self.buttons[name] = button
            self._row.insertWidget(number, button)

    def set_picture(self, name: str, rgb: RgbImage) -> None:
        """Show an associated image, uint8 (height, width, 3)."""
        height, width = rgb.shape[:2]
        ratio = self.devicePixelRatioF()
        pixmap = QPixmap.fromImage(qt_image(rgb)).scaled(
            *(round(n * ratio) for n in PICTURE_SIZE),
            Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
        pixmap.setDevicePixelRatio(ratio)
        self.picture.setPixmap(pixmap)
        self.set_picture_text(f"{name}: {width} × {height} px")
        self.picture.show()

    def set_picture_text(self, text: str) -> None:
        """Show what the image is, or why it cannot be shown."""
        self.picture_label.setText(text)
        self.picture_label.show()

    def _append(self, rows: Rows) -> None:
        table = self.table
        for row in rows:
            index = table.rowCount()
            table.insertRow(index)
            for column, text in enumerate(row):
                item = QTableWidgetItem(visible(text))
                item.setToolTip(tooltip(text))
                table.setItem(index, column, item)

    def _on_hidden_button_clicked(self) -> None:
        self._append(self._hidden)
        self.hidden_button.hide()
        self.table.scrollToBottom()
