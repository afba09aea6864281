"""The dialog that shows a complete model card."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QDialog, QDialogButtonBox, QPlainTextEdit, QVBoxLayout, QWidget

from napari_fddm.core.outside.text import visible


class ModelCardDialog(QDialog):
    """A model card as text that can be selected and copied."""

    def __init__(self, title: str, text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(visible(title))
        self.resize(620, 640)
        self.text = QPlainTextEdit(visible(text))
        self.text.setReadOnly(True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(buttons)

    def done(self, result: Any) -> None:
        """Close the dialog and let Qt delete it."""
        super().done(result)
        self.deleteLater()
