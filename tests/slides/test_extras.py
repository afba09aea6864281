from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from napari_fddm.core.errors import SlideError
from napari_fddm.slides import ArraySlide, tiff
from napari_fddm.slides.extras import is_harmless
from napari_fddm.slides.tiff import TiffSlide
from tests.slides.test_openslide import IMAGE, Canvas, open_canvas, rgba
from tests.support.slides import APERIO, noise, overwrite_tile, stained

if TYPE_CHECKING:
    from pathlib import Path

LABEL, MACRO = noise(40, 30, seed=1), noise(20, 60, seed=2)


@pytest.fixture
def svs(tmp_path: Path) -> Path:
    """An Aperio file with a label and a macro, both stored without loss."""
    words = APERIO.format(w=200, h=160, t=64, mpp=0.5) + "|User = jane|Date = 01/02/03"
    path = tmp_path / "case 12.svs"
    plain = {"photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(path) as writer:
        writer.write(stained(160, 200), description=words, tile=(64, 64), **plain)
        writer.write(stained(16, 20), description=words, **plain)
        writer.write(LABEL, description="Aperio\nlabel 30x40", subfiletype=1, **plain)
        writer.write(MACRO, description="Aperio\nmacro 60x20", subfiletype=9, **plain)
    return path


def test_an_svs_has_label_and_macro(svs: Path) -> None:
    with TiffSlide(svs) as slide:
        assert set(slide.associated) == {"thumbnail", "label", "macro"}
        np.testing.assert_array_equal(slide.read_associated("label"), LABEL)
        np.testing.assert_array_equal(slide.read_associated("macro"), MACRO)
        with pytest.raises(SlideError, match="no map image"):
            slide.read_associated("map")


def test_opening_reads_no_associated_image(svs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("read without being asked")

    monkeypatch.setattr(tiff, "read_image", fail)
    with TiffSlide(svs) as slide:
        assert slide.associated
        slide.read_region(slide.extent, 1.0)


def test_a_closed_slide_gives_no_picture(svs: Path) -> None:
    slide = TiffSlide(svs)
    slide.close()
    with pytest.raises(SlideError, match="closed"):
        slide.read_associated("label")


def test_a_user_and_a_date_are_not_harmless(svs: Path) -> None:
    with TiffSlide(svs) as slide:
        harmless = {k for k in slide.properties if is_harmless(k)}
    assert harmless == {"aperio.AppMag", "aperio.MPP", "tiff.Software"}
    assert {"aperio.User", "aperio.Date", "openslide.comment"} <= set(slide.properties)


def test_other_images_of_a_tiff_have_numbers_because_nobody_says_what_they_are(
    tmp_path: Path,
) -> None:
    path = tmp_path / "two.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(stained(160, 200), photometric="rgb", tile=(64, 64), metadata=None)
        writer.write(LABEL[..., 0], photometric="miniswhite", metadata=None)
    with TiffSlide(path) as slide:
        assert slide.associated == ("image 2",)
        expected = np.repeat(255 - LABEL[..., :1], 3, axis=2)
        np.testing.assert_array_equal(slide.read_associated("image 2"), expected)


def test_a_damaged_picture_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "two.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(stained(160, 200), photometric="rgb", tile=(64, 64), metadata=None)
        writer.write(LABEL, photometric="rgb", compression="zlib", metadata=None)
    overwrite_tile(path, 0, b"no zlib at all" * 3, page=1)
    with (
        TiffSlide(path) as slide,
        pytest.raises(SlideError, match=r"two\.tif cannot be read as .*'image 2'"),
    ):
        slide.read_associated("image 2")


def test_openslide_pictures_lie_on_white(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    canvas = Canvas([rgba(IMAGE)], {"hamamatsu.Reference": "Jane", "hamamatsu.SourceLens": "20"})
    canvas.pictures = {"macro": rgba(MACRO, alpha=0)}
    slide = open_canvas(monkeypatch, tmp_path, canvas)
    assert slide.associated == ("macro",)
    assert (slide.read_associated("macro") == 255).all()
    assert [k for k in slide.properties if is_harmless(k)] == ["hamamatsu.SourceLens"]


def test_an_array_has_neither() -> None:
    slide = ArraySlide(IMAGE, mpp=0.5)
    assert not slide.associated
    assert not slide.properties
    with pytest.raises(SlideError, match="no label image"):
        slide.read_associated("label")


@pytest.mark.parametrize(
    "key",
    [
        "dicom.PatientName", "dicom.PatientID", "dicom.PatientBirthDate", "dicom.AccessionNumber",
        "dicom.StudyDate", "dicom.ReferringPhysicianName", "dicom.ContainerIdentifier",
        "dicom.SpecimenDescriptionSequence[0].SpecimenIdentifier", "dicom.StudyInstanceUID",
        "dicom.BarcodeValue", "dicom.LabelText", "aperio.Filename", "aperio.User", "aperio.Title",
        "aperio.Date", "aperio.ImageID", "hamamatsu.Created", "hamamatsu.Reference",
        "leica.barcode", "leica.creation-date", "mirax.GENERAL.SLIDE_NAME",
        "mirax.GENERAL.SLIDE_CREATIONDATETIME", "philips.PIM_DP_UFS_BARCODE", "tiff.DateTime",
        "tiff.Artist", "tiff.ImageDescription", "openslide.comment", "whatever a vendor adds",
    ],
)  # fmt: skip
def test_what_may_name_a_patient_or_a_day_is_not_harmless(key: str) -> None:
    assert not is_harmless(key)
