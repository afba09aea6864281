"""Text in Qt that is shown as it is written: names of files, readers and models may hold HTML.

Qt takes a text that looks like HTML for HTML, unless a label is told otherwise, and it cannot
be told so for tooltips. The labels, message boxes and tooltips of the window are made here.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QMessageBox
from superqt import QElidingLabel

from napari_fddm.core.outside.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QWidget


class PlainLabel(QLabel):
    """A label that shows its text as it is written; control characters as escapes."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)

    def setText(self, text: str | None) -> None:
        """Show a text."""
        super().setText(visible(text or ""))


class ElidedLabel(QElidingLabel):
    """A `PlainLabel` that shortens its text to the width there is."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)

    def setText(self, text: str | None) -> None:
        """Show a text."""
        super().setText(visible(text or ""))


def tooltip(text: str) -> str:
    """Return a text for ``setToolTip`` that is shown as it is written."""
    shown = visible(text)
    if not Qt.mightBeRichText(shown):
        return shown
    return f"<qt style='white-space: pre-wrap'>{escape(shown)}</qt>"


def wrapped_tooltip(text: str) -> str:
    """Return a text for ``setToolTip`` that Qt breaks into lines."""
    return f"<p>{escape(visible(text))}</p>"


def warn(window: QWidget | None, title: str, text: str) -> None:
    """Show a warning and wait until it is closed."""
    _box(window, QMessageBox.Icon.Warning, title, text).exec()


def ask(
    window: QWidget | None,
    title: str,
    text: str,
    *,
    yes: str,
    no: str,
    agreed: Callable[[], None],
) -> QMessageBox:
    """Ask a question without waiting for the answer.

    Parameters
    ----------
    window : QWidget or None
        The window that the question belongs to; it goes with it.
    title, text : str
        The question.
    yes, no : str
        Texts of the buttons. Enter and Escape are `no`.
    agreed : callable
        Called if the answer is `yes`.
    """
    box = _box(window, QMessageBox.Icon.Question, title, text)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    agree = box.addButton(yes, QMessageBox.ButtonRole.AcceptRole)
    refuse = box.addButton(no, QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(refuse)
    box.setEscapeButton(refuse)
    box.buttonClicked.connect(lambda button: agreed() if button is agree else None)
    box.open()
    return box


def _box(window: QWidget | None, icon: QMessageBox.Icon, title: str, text: str) -> QMessageBox:
    box = QMessageBox(window)
    box.setIcon(icon)
    box.setWindowTitle(visible(title))
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(visible(text))
    return box
