"""Small helpers that several panels share: labels, boxes, images, and numbers as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QComboBox, QLabel, QTableWidgetItem

from napari_fddm.core.necrosis import GOOD_RESPONSE

if TYPE_CHECKING:
    from napari_fddm.core.necrosis import RateResult
    from napari_fddm.core.protocols import RgbImage

NO_RESULT = "–"
ROW_PX = 24
"""Height of a table row."""
CAUTION_COLOR = "#e0a000"
WARNING_STYLE = "color: #ff6b5e; font-weight: bold;"
"""Both are readable on napari's dark and light themes."""


def narrow(box: QComboBox, letters: int = 12) -> QComboBox:
    """Let a box be narrower than its longest entry, so that a small window clips nothing."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(letters)
    return box


def wrapped_label(text: str = "", name: str = "") -> QLabel:
    """Return a label that breaks long text into lines; ``name`` is its Qt object name."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setObjectName(name)
    return label


def set_item_text(item: QTableWidgetItem, text: str) -> None:
    """Set the text of a table cell only if it differs.

    Qt measures the columns of the table after every change, and the brush may cause many
    a second.
    """
    if item.text() != text:
        item.setText(text)


def qt_image(rgb: RgbImage) -> QImage:
    """Return a Qt image with its own copy of the pixels, uint8 (height, width, 3)."""
    rgb = np.ascontiguousarray(rgb)
    height, width = rgb.shape[:2]
    # Qt does not keep the array alive, hence the copy.
    return QImage(rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()


def percent(result: RateResult) -> str:
    """Return a rate in percent, with the digits it needs beside its cut-offs; a dash for none."""
    if result.rate is None:
        return NO_RESULT
    return f"{result.definition.percent(result.rate, GOOD_RESPONSE)} %"


def rate_and_grade(result: RateResult) -> str:
    """Return a rate with its Huvos grade; a dash where there is none."""
    return f"{percent(result)} · {result.huvos}" if result.huvos else percent(result)
