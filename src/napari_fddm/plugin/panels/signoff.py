"""The sign-off panel: shows who signed the analysis, and signs or unlocks it. Qt only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_fddm.plugin.panels.widgets import wrapped_label
from napari_fddm.plugin.plumbing.plain_text import tooltip

if TYPE_CHECKING:
    from napari_fddm.core.signoff import SignOff

SIGN, UNLOCK = "Sign off…", "Unlock…"
OPEN = "not signed off"
CHANGED = "WARNING: the corrected labels were changed after they were signed."
_SIGN_TIP = (
    "Sign the corrected labels with your name or initials. The analysis is then locked: "
    "neither a tool nor a run can change it."
)
_UNLOCK_TIP = "Allow changes again. Name and time are recorded."


class SignOffPanel(QWidget):
    """Shows the sign-off and asks for one.

    Signals
    -------
    sign_confirmed : str
        The reader signs, with this name.
    unlock_confirmed : str
        The reader unlocks, with this name.
    """

    sign_confirmed = Signal(str)
    unlock_confirmed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.state_label = wrapped_label(OPEN)
        self.button = QPushButton(SIGN)
        self.button.setObjectName("sign_off")
        self.reader_edit = QLineEdit()
        self.reader_edit.setPlaceholderText("your name or initials")
        self.reader_edit.setToolTip("Recorded with the sign-off, and proposed the next time.")
        self.confirm_button = QPushButton()
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Change nothing.")
        self._state_row, self._name_row = QWidget(), QWidget()  # only one of them is visible
        self._signed = False
        self._lay_out()
        self.button.clicked.connect(self._on_button_clicked)
        self.cancel_button.clicked.connect(self._show_state)
        self.confirm_button.clicked.connect(self._on_confirmed)
        self.reader_edit.returnPressed.connect(self._on_confirmed)
        self.reader_edit.textChanged.connect(self._on_reader_edit_changed)
        self.set_sign_off(None)
        self.set_enabled(False)

    def _lay_out(self) -> None:
        row = QHBoxLayout(self._state_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.state_label, 1)
        row.addWidget(self.button)
        name = QHBoxLayout(self._name_row)
        name.setContentsMargins(0, 0, 0, 0)
        name.addWidget(self.reader_edit, 1)
        name.addWidget(self.confirm_button)
        name.addWidget(self.cancel_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._state_row)
        layout.addWidget(self._name_row)
        self._name_row.hide()

    def set_reader(self, name: str) -> None:
        """Propose the name of the reader."""
        self.reader_edit.setText(name)
        self._on_reader_edit_changed(name)

    def set_enabled(self, enabled: bool) -> None:
        """Allow signing and unlocking; not while there is no analysis that can be signed."""
        self.button.setEnabled(enabled)
        if not enabled:
            self._show_state()

    def set_sign_off(self, signed: SignOff | None) -> None:
        """Show who signed, or that nobody did."""
        self._signed = signed is not None
        text = OPEN if signed is None else signed.title
        if signed is not None and not signed.intact:
            text = f"{text}\n{CHANGED}"
        self.state_label.setText(text)
        self.button.setText(UNLOCK if self._signed else SIGN)
        self.button.setToolTip(tooltip(_UNLOCK_TIP if self._signed else _SIGN_TIP))
        self.confirm_button.setText("Unlock" if self._signed else "Sign off")
        self.confirm_button.setToolTip(tooltip(_UNLOCK_TIP if self._signed else _SIGN_TIP))
        self._show_state()

    def _show_state(self) -> None:
        self._name_row.hide()
        self._state_row.show()

    def _on_button_clicked(self) -> None:
        self._state_row.hide()
        self._name_row.show()
        self.reader_edit.setFocus()
        self.reader_edit.selectAll()

    def _on_reader_edit_changed(self, text: str) -> None:
        self.confirm_button.setEnabled(bool(text.strip()))

    def _on_confirmed(self) -> None:
        name = self.reader_edit.text().strip()
        if name and not self._name_row.isHidden():
            self._show_state()
            (self.unlock_confirmed if self._signed else self.sign_confirmed).emit(name)
