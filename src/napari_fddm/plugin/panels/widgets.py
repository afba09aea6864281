"""Small helpers of several panels: narrow widgets, numbers in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QComboBox,
)

if TYPE_CHECKING:
    from napari_fddm.core.necrosis import RateResult

NO_RESULT = "–"


def narrow(box: QComboBox) -> QComboBox:
    """Let a box be narrower than its longest entry, so that a small window clips nothing."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(12)
    return box


def percent(rate: float | None) -> str:
    """Return a rate as a reader sees it; a dash where there is none."""
    return NO_RESULT if rate is None else f"{100 * rate:.1f} %"


def rate_and_grade(result: RateResult) -> str:
    """Return a rate with its Huvos grade, or a dash."""
    return f"{percent(result.rate)} · {result.huvos}" if result.huvos else percent(result.rate)
