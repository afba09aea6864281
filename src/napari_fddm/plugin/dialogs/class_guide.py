"""The class guide: a window that explains what belongs to each class."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QDialog, QTextBrowser, QVBoxLayout, QWidget

from napari_fddm.core.class_guide import CLASS_GUIDE

if TYPE_CHECKING:
    from napari_fddm.core.classes import ClassTable

SIZE = (460, 620)


class ClassGuide(QDialog):
    """The guide as text; it can stay open beside the slide.

    Parameters
    ----------
    table : ClassTable
        Supplies names and keys of the classes.
    """

    def __init__(self, table: ClassTable, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Class guide")
        self.resize(*SIZE)
        self.browser = QTextBrowser()
        self.browser.setHtml(guide_html(table))
        layout = QVBoxLayout(self)
        layout.addWidget(self.browser)


def guide_html(table: ClassTable) -> str:
    """Return the guide as HTML."""
    parts = []
    for entry in CLASS_GUIDE:
        tissue = table[entry.short]
        parts.append(
            f"<p><b>{tissue.value} · {escape(tissue.short)} · {escape(tissue.name)}</b><br>"
            f"{escape(entry.what)} {escape(entry.beware)}<br>"
            f"<small>Source: {escape(entry.source)}</small></p>"
        )
    return "".join(parts) + "<p><small>Research use only. Not a diagnosis.</small></p>"
