"""JPEG frames of a DICOM slide that hold other colors than its header says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_fddm.core.errors import SlideError
from napari_fddm.slides import open_slide
from napari_fddm.slides.dicom.colors import rgb_of_ycbcr
from tests.support.dicom import write_dicom

if TYPE_CHECKING:
    from pathlib import Path

COLORS = np.zeros((64, 192, 3), np.uint8)
COLORS[:, :64], COLORS[:, 64:128], COLORS[:, 128:] = (255, 0, 0), (0, 255, 0), (200, 120, 180)


@pytest.mark.parametrize(
    ("declared", "stored", "said"),
    [("RGB", "rgb", False), ("YBR_FULL_422", "ycbcr", False), ("RGB", "ycbcr", True)],
)
def test_colors_are_those_of_the_frames(
    tmp_path: Path, declared: str, stored: str, said: bool
) -> None:
    path = write_dicom(tmp_path / "a.dcm", COLORS, declared=declared, stored=stored)
    with open_slide(path) as slide:
        found = slide.read_level(0, 0, 0, 64, 192).astype(int)  # type: ignore[attr-defined]
        assert any("YCbCr" in text for text in slide.warnings) == said
    assert np.abs(found - COLORS).mean() < 3


def test_rgb_under_a_header_of_ycbcr_is_refused(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", COLORS, declared="YBR_FULL_422", stored="rgb")
    with pytest.raises(SlideError, match=r"a\.dcm.*says YBR_FULL_422.*hold RGB"):
        open_slide(path)


def test_conversion_to_rgb() -> None:
    ycbcr = np.array([[[76, 85, 255], [150, 44, 21], [29, 255, 107], [255, 128, 128]]], np.uint8)
    right = [[[254, 0, 0], [0, 255, 1], [0, 0, 254], [255, 255, 255]]]
    np.testing.assert_allclose(rgb_of_ycbcr(ycbcr), right, atol=1)
