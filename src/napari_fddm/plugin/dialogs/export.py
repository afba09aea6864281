"""The export dialog: chooses format, anonymity and destination, and shows the result."""

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
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
)

from napari_fddm.plugin.panels.widgets import wrapped_label

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

MIN_WIDTH = 520


class ExportFormat(StrEnum):
    """The formats that can be written."""

    V05 = "0.5"
    V04 = "0.4"
    OZX = "ozx"

    @property
    def version(self) -> str:
        """The version of OME-Zarr."""
        return "0.4" if self is ExportFormat.V04 else "0.5"

    @property
    def suffix(self) -> str:
        """The suffix of the file or folder."""
        return ".ozx" if self is ExportFormat.OZX else ".ome.zarr"


TITLES = {
    ExportFormat.V05: "OME-Zarr 0.5 folder (can be opened and edited again)",
    ExportFormat.V04: "OME-Zarr 0.4 folder (for older programs)",
    ExportFormat.OZX: "OME-Zarr 0.5 as a single file (.ozx)",
}


class ExportDialog(QDialog):
    """Asks for format and destination of an export.

    Parameters
    ----------
    parent : QWidget, optional
        The owner.
    with_name : bool
        Whether the box to keep the slide's name is checked at first.

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
        self.format_box.setToolTip("Choose what the programs that will read it support.")
        self.name_box = QCheckBox("with the slide's name")
        self.name_box.setChecked(with_name)
        self.name_box.setToolTip(
            "File names often contain names of patients. If unchecked, the copy has the slide's "
            "fingerprint instead of its name, and numbers instead of the readers' names."
        )
        self.destination_edit = QLineEdit()
        self.destination_edit.setToolTip("Must not exist yet: nothing is overwritten.")
        self.browse_button = QPushButton("Browse…")
        self.browse_button.setToolTip("Choose the folder.")
        self.progress = QProgressBar()
        self.progress.setRange(0, 0)
        self.progress.hide()
        self.status_label = wrapped_label()
        self.status_label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.export_button = QPushButton("Export")
        self.export_button.setDefault(True)
        self.export_button.setToolTip("Write the copy and validate it.")
        self.close_button = QPushButton("Close")
        self.close_button.setToolTip("Close this dialog. An export that is running continues.")
        self._lay_out()
        self.format_box.currentIndexChanged.connect(self._propose)
        self.name_box.toggled.connect(self._propose)
        self.browse_button.clicked.connect(self._on_browse_clicked)
        self.export_button.clicked.connect(self._on_export_clicked)
        self.close_button.clicked.connect(self.hide)

    def _lay_out(self) -> None:
        destination = QHBoxLayout()
        destination.addWidget(self.destination_edit, 1)
        destination.addWidget(self.browse_button)
        form = QFormLayout()
        form.addRow("Format", self.format_box)
        form.addRow("", self.name_box)
        form.addRow("Destination", destination)
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
        """Propose a destination.

        Parameters
        ----------
        folder : Path
            The folder of the copy.
        plain, named : str
            Names of the copy without and with the slide's name.
        """
        self._folder, self._plain, self._named = folder, plain, named
        self.set_status("")
        self._propose()

    def set_busy(self, busy: bool) -> None:
        """Show whether an export is running."""
        self.progress.setVisible(busy)
        self.export_button.setEnabled(not busy)
        if busy:
            self.status_label.setText("exporting…")

    def set_status(self, text: str) -> None:
        """Show the result of the export."""
        self.set_busy(False)
        self.status_label.setText(text)

    def _propose(self) -> None:
        name = self._named if self.name_box.isChecked() else self._plain
        self.destination_edit.setText(str(self._folder / f"{name}{self.format.suffix}"))

    def _on_browse_clicked(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Export into", str(self._folder))
        if chosen:
            self._folder = Path(chosen)
            self._propose()

    def _on_export_clicked(self) -> None:
        destination = self.destination_edit.text().strip()
        if destination:
            self.export_wanted.emit(destination, self.format.value, self.name_box.isChecked())
