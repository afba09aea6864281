"""Names from outside are shown as they are written, whatever Qt would make of them."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QTextDocument

from napari_fddm.core.errors import SlideError
from napari_fddm.plugin.plumbing import notices, plain_text
from napari_fddm.plugin.plumbing.napari_text import shown_by_napari, unmarked
from napari_fddm.plugin.plumbing.plain_text import ElidedLabel, PlainLabel, tooltip, wrapped_tooltip

pytestmark = pytest.mark.gui

NAMES = [
    "<b>x</b>.tif",
    "a < b.tif",
    "<img src='file:///etc/passwd'>",
    "< h1>3 %</h1>",
    "<!doctype html>",
    "<?xml version='1.0'?><b>x</b>",
    "&lt;b&gt;",
    "plain.tif",
]


def shown(text: str) -> str:
    """Return what a tooltip or one of napari's labels shows of a text."""
    if not Qt.mightBeRichText(text):
        return text
    document = QTextDocument()
    document.setHtml(text)
    return document.toPlainText()


@pytest.mark.parametrize("kind", [PlainLabel, ElidedLabel])
@pytest.mark.parametrize("name", NAMES)
def test_labels_show_a_text_as_it_is_written(qtbot, kind, name):
    label = kind(name)
    qtbot.addWidget(label)
    assert label.textFormat() == Qt.TextFormat.PlainText
    assert label.text() == name


@pytest.mark.parametrize("kind", [PlainLabel, ElidedLabel])
def test_labels_show_what_is_no_text_as_escapes(qtbot, kind):
    label = kind()
    qtbot.addWidget(label)
    label.setText("a\x1b[2J\udce4.tif")
    assert label.text() == r"a\x1b[2J\xe4.tif"
    label.setText(None)
    assert label.text() == ""


@pytest.mark.parametrize("name", NAMES)
def test_tooltips_show_a_text_as_it_is_written(qapp, name):
    assert shown(tooltip(f"{name}\nand  more")) == f"{name}\nand  more"
    assert shown(wrapped_tooltip(name)) == name


@pytest.mark.parametrize("name", NAMES)
def test_napari_shows_a_text_as_it_is_written(qapp, name):
    text = unmarked(f"{name} is gone")
    assert not Qt.mightBeRichText(text)
    assert text.replace("\u200b", "") == f"{name} is gone"


@pytest.mark.parametrize("kind", ["show_info", "show_warning", "show_error"])
def test_notifications_are_text(qapp, monkeypatch, kind):
    said: list[str] = []
    monkeypatch.setattr(f"napari.utils.notifications.{kind}", said.append)
    getattr(notices, kind)("<b>x</b>")
    assert not Qt.mightBeRichText(said[0])


def test_errors_that_napari_shows_are_text(qapp):
    error = SlideError("no slide <", hint="b> is one.")
    with pytest.raises(SlideError) as caught, shown_by_napari():
        raise error
    assert not Qt.mightBeRichText(str(caught.value))
    assert str(caught.value).replace("\u200b", "") == "no slide < b> is one."


def test_a_warning_is_text(qtbot, monkeypatch):
    boxes = []
    monkeypatch.setattr(plain_text.QMessageBox, "exec", lambda box: boxes.append(box))
    plain_text.warn(None, "Not saved", "<b>x</b>\x1b")
    (box,) = boxes
    qtbot.addWidget(box)
    assert box.textFormat() == Qt.TextFormat.PlainText
    assert box.text() == r"<b>x</b>\x1b"
