"""The export dialog: format, names or not, place, and how it went."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
)

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

MIN_WIDTH = 520


class ExportFormat(StrEnum):
    """What can be written."""

    V05 = "0.5"
    V04 = "0.4"
    OZX = "ozx"

    @property
    def version(self) -> str:
        """Version of OME-Zarr."""
        return "0.4" if self is ExportFormat.V04 else "0.5"

    @property
    def suffix(self) -> str:
        """End of the name of what is written."""
        return ".ozx" if self is ExportFormat.OZX else ".ome.zarr"


TITLES = {
    ExportFormat.V05: "OME-Zarr 0.5 folder (can be gone on with)",
    ExportFormat.V04: "OME-Zarr 0.4 folder (for older programs)",
    ExportFormat.OZX: "OME-Zarr 0.5 as a single file (.ozx)",
}


class ExportDialog(QDialog):
    """Asks what shall be exported where.

    Parameters
    ----------
    parent : QWidget, optional
        The owner.
    with_name : bool
        Whether the slide's name is kept unless the user says otherwise.

    Signals
    -------
    export_wanted : str, str, bool
        Destination, an `ExportFormat`, whether names are kept.
    """

    export_wanted = Signal(str, str, bool)

    def __init__(self, parent: QWidget | None = None, *, with_name: bool = False) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export the analysis")
        self.setMinimumWidth(MIN_WIDTH)
        self._folder, self._plain, self._named = Path(), "", ""
        self.format_box = QComboBox()
        for item in ExportFormat:
            self.format_box.addItem(TITLES[item], item.value)
        self.format_box.setToolTip("What other programs shall read.")
        self.name_box = QCheckBox("with the slide's name")
        self.name_box.setChecked(with_name)
        self.name_box.setToolTip(
            "File names often carry patients' names. Without this, the copy holds the slide's "
            "fingerprint instead, and readers are numbered."
        )
        self.place_edit = QLineEdit()
        self.place_edit.setToolTip("It must not exist yet: nothing is ever replaced.")
        self.browse_button = QPushButton("Browse…")
        self.browse_button.setToolTip("Choose the folder to put it in.")
        self.progress = QProgressBar()
        self.progress.setRange(0, 0)
        self.progress.hide()
        self.status_label = QLabel()
        self.status_label.setWordWrap(True)
        self.status_label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.export_button = QPushButton("Export")
        self.export_button.setDefault(True)
        self.export_button.setToolTip("Write the copy and check it.")
        self.close_button = QPushButton("Close")
        self.close_button.setToolTip("Close this dialog; an export that has begun goes on.")
        self._lay_out()
        self.format_box.currentIndexChanged.connect(self._propose)
        self.name_box.toggled.connect(self._propose)
        self.browse_button.clicked.connect(self._on_browse_clicked)
        self.export_button.clicked.connect(self._on_export_clicked)
        self.close_button.clicked.connect(self.hide)

    def _lay_out(self) -> None:
        place = QHBoxLayout()
        place.addWidget(self.place_edit, 1)
        place.addWidget(self.browse_button)
        form = QFormLayout()
        form.addRow("Format", self.format_box)
        form.addRow("", self.name_box)
        form.addRow("Place", place)
        buttons = QHBoxLayout()
        buttons.addStretch()
        buttons.addWidget(self.export_button)
        buttons.addWidget(self.close_button)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.progress)
        layout.addWidget(self.status_label)
        layout.addLayout(buttons)

    @property
    def format(self) -> ExportFormat:
        """The chosen format."""
        return ExportFormat(self.format_box.currentData())

    def propose(self, folder: Path, *, plain: str, named: str) -> None:
        """Propose a place.

        Parameters
        ----------
        folder : Path
            Where to put the copy.
        plain, named : str
            What to call it without and with the slide's name.
        """
        self._folder, self._plain, self._named = folder, plain, named
        self.set_status("")
        self._propose()

    def set_busy(self, busy: bool) -> None:
        """Show that an export is going on."""
        self.progress.setVisible(busy)
        self.export_button.setEnabled(not busy)
        if busy:
            self.status_label.setText("exporting…")

    def set_status(self, text: str) -> None:
        """Say how it went."""
        self.set_busy(False)
        self.status_label.setText(text)

    def _propose(self) -> None:
        name = self._named if self.name_box.isChecked() else self._plain
        self.place_edit.setText(str(self._folder / f"{name}{self.format.suffix}"))

    def _on_browse_clicked(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Export into", str(self._folder))
        if chosen:
            self._folder = Path(chosen)
            self._propose()

    def _on_export_clicked(self) -> None:
        place = self.place_edit.text().strip()
        if place:
            self.export_wanted.emit(place, self.format.value, self.name_box.isChecked())
