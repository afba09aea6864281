"""Which DICOM series of a folder is the slide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_fddm.core.errors import SlideError
from napari_fddm.slides import open_slide
from napari_fddm.slides.opening import slide_spec
from tests.support.dicom import write_dicom
from tests.support.slides import stained

if TYPE_CHECKING:
    from pathlib import Path

SMALL, LARGE = stained(100, 130), stained(200, 190)


def test_the_largest_series_is_the_slide_and_another_can_be_chosen(tmp_path: Path) -> None:
    write_dicom(tmp_path / "b.dcm", LARGE, series="5", number="2", description="H&E")
    write_dicom(tmp_path / "c.dcm", SMALL, series="4", number="10")
    label = stained(400, 400)
    write_dicom(tmp_path / "a.dcm", label, series="6", number="1", flavor="LABEL")
    with open_slide(tmp_path) as slide:
        assert slide.levels[0].shape == (200, 190)
        (note,) = [text for text in slide.warnings if "not analyzed" in text]
        assert "series 1 'H&E'" in note
        assert "series 0 'label' (400 × 400 px)" in note
        assert "series 2 (130 × 100 px)" in note
        assert slide_spec(slide) == str(tmp_path)
    with open_slide(f"{tmp_path}?series=2") as other:
        assert other.levels[0].shape == (100, 130)
        assert other.fingerprint != slide.fingerprint
        assert slide_spec(other) == f"{tmp_path}?series=2"


def test_levels_and_label_of_one_series_are_one_slide(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", LARGE, series="5")
    write_dicom(tmp_path / "b.dcm", LARGE[:50, :50], series="5", flavor="LABEL")
    with open_slide(tmp_path) as slide:
        assert (slide.levels[0].shape, list(slide.warnings)) == ((200, 190), [])


def test_slides_of_several_glasses_are_not_chosen_from(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", LARGE, series="5", container="S1")
    write_dicom(tmp_path / "b.dcm", SMALL, series="6", container="S2")
    with pytest.raises(SlideError, match=r"2 specimen containers: series 0 .*; series 1 "):
        open_slide(tmp_path)
    with open_slide(tmp_path, series=1) as slide:
        assert slide.levels[0].shape == (100, 130)


def test_two_images_for_one_level_are_refused_without_the_folder_s_path(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", LARGE)
    write_dicom(tmp_path / "b.dcm", LARGE[::-1])
    with pytest.raises(SlideError, match=r"cannot be opened by OpenSlide: .*b\.dcm") as caught:
        open_slide(tmp_path)
    assert str(tmp_path) not in str(caught.value)


def test_files_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    whole = write_dicom(tmp_path / "a.dcm", LARGE).read_bytes()
    (tmp_path / "b.dcm").write_bytes(whole[:300])
    with open_slide(tmp_path) as slide:
        assert any("1 of 2 DICOM files cannot be read" in text for text in slide.warnings)


def test_a_folder_of_monochrome_images_is_refused(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", LARGE, declared="MONOCHROME2", samples=1)
    with pytest.raises(SlideError, match=r"no brightfield image.*1 samples.*MONOCHROME2"):
        open_slide(tmp_path)
