from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import ImageCms

from napari_fddm.slides.codestreams.profile import read_profile
from napari_fddm.slides.tiff import TiffSlide
from tests.support.slides import stained, write_svs, write_tiff

if TYPE_CHECKING:
    from pathlib import Path

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SWAPPED = (
    SRGB.replace(b"rXYZ", b"????", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"????", b"bXYZ", 1)
)
"""A profile whose first primary is blue and whose third is red."""
IMAGE = stained(90, 70)


def tag(data: bytes) -> list[tuple[int, int, int, bytes, bool]]:
    return [(34675, 7, len(data), data, True)]


def test_srgb_and_silence_need_nothing() -> None:
    assert read_profile(SRGB, "a.tif") == (None, "")
    assert read_profile(None, "a.tif") == (None, "")


def test_what_is_no_profile_is_said() -> None:
    for data in (b"no profile", SRGB[:200], SRGB.replace(b"RGB ", b"CMYK", 1)):
        profile, note = read_profile(data, "a.tif")
        assert profile is None
        assert note.startswith("its colors are taken as sRGB: a.tif ")


def test_another_profile_is_followed(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [IMAGE], extratags=tag(SWAPPED))
    with TiffSlide(path) as slide:
        found = slide.read_level(0, 0, 0, 90, 70).astype(int)
        assert np.abs(found - IMAGE[..., ::-1]).max() <= 3
        assert any("converted to sRGB" in w for w in slide.warnings)


def test_srgb_files_come_back_exactly(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [IMAGE], extratags=tag(SRGB))
    with TiffSlide(path) as slide:
        np.testing.assert_array_equal(slide.read_level(0, 0, 0, 90, 70), IMAGE)
        assert not any("sRGB" in w for w in slide.warnings)


def test_colors_of_a_scanner_stay_and_that_is_said(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "a.svs", [IMAGE], extratags=tag(SWAPPED))
    with TiffSlide(path) as slide:
        assert np.abs(slide.read_level(0, 0, 0, 90, 70).astype(int) - IMAGE).mean() < 3
        assert any("is not applied" in w for w in slide.warnings)
