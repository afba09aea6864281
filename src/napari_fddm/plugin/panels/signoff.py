"""The sign-off panel: who signed the analysis, and the way to sign or unlock it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from napari_fddm.core.signoff import SignOff

SIGN, UNLOCK = "Sign off…", "Unlock…"
OPEN = "not signed off"
CHANGED = "WARNING: the corrected labels are not those that were signed."
_SIGN_TIP = (
    "Sign the corrected labels with your name or initials. The analysis is then locked: "
    "no brush and no run changes it."
)
_UNLOCK_TIP = "Allow changes again. Who unlocked it, and when, is kept."


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
        self.state_label = QLabel(OPEN)
        self.state_label.setWordWrap(True)
        self.button = QPushButton(SIGN)
        self.button.setObjectName("sign_off")
        self.reader_edit = QLineEdit()
        self.reader_edit.setPlaceholderText("your name or initials")
        self.reader_edit.setToolTip("Kept with the record; remembered for the next time.")
        self.confirm_button = QPushButton()
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Leave everything as it is.")
        self.resting, self.asking = QWidget(), QWidget()  # one in the place of the other
        self._signed = False
        self._lay_out()
        self.button.clicked.connect(self._on_button_clicked)
        self.cancel_button.clicked.connect(self._rest)
        self.confirm_button.clicked.connect(self._on_confirmed)
        self.reader_edit.returnPressed.connect(self._on_confirmed)
        self.reader_edit.textChanged.connect(self._on_reader_edit_changed)
        self.set_sign_off(None)
        self.set_enabled(False)

    def _lay_out(self) -> None:
        row = QHBoxLayout(self.resting)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.state_label, 1)
        row.addWidget(self.button)
        asking = QHBoxLayout(self.asking)
        asking.setContentsMargins(0, 0, 0, 0)
        asking.addWidget(self.reader_edit, 1)
        asking.addWidget(self.confirm_button)
        asking.addWidget(self.cancel_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.resting)
        layout.addWidget(self.asking)
        self.asking.hide()

    def set_reader(self, name: str) -> None:
        """Propose a name."""
        self.reader_edit.setText(name)
        self._on_reader_edit_changed(name)

    def set_enabled(self, enabled: bool) -> None:
        """Allow signing or unlocking, or not while there is nothing to sign."""
        self.button.setEnabled(enabled)
        if not enabled:
            self._rest()

    def set_sign_off(self, signed: SignOff | None) -> None:
        """Show who signed, or that nobody did."""
        self._signed = signed is not None
        text = OPEN if signed is None else signed.title
        if signed is not None and not signed.intact:
            text = f"{text}\n{CHANGED}"
        self.state_label.setText(text)
        self.button.setText(UNLOCK if self._signed else SIGN)
        self.button.setToolTip(_UNLOCK_TIP if self._signed else _SIGN_TIP)
        self.confirm_button.setText("Unlock" if self._signed else "Sign off")
        self.confirm_button.setToolTip(_UNLOCK_TIP if self._signed else _SIGN_TIP)
        self._rest()

    def _rest(self) -> None:
        self.asking.hide()
        self.resting.show()

    def _on_button_clicked(self) -> None:
        self.resting.hide()
        self.asking.show()
        self.reader_edit.setFocus()
        self.reader_edit.selectAll()

    def _on_reader_edit_changed(self, text: str) -> None:
        self.confirm_button.setEnabled(bool(text.strip()))

    def _on_confirmed(self) -> None:
        name = self.reader_edit.text().strip()
        if name and not self.asking.isHidden():
            self._rest()
            (self.unlock_confirmed if self._signed else self.sign_confirmed).emit(name)
