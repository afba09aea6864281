"""What OME-XML beside the images of bioformats2raw adds: names, channels, pixel sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_fddm.core.errors import SlideError
from napari_fddm.core.geometry import Mpp
from napari_fddm.slides import open_slide
from tests.slides.ngff.test_images import SLIDE, bioformats2raw, image

if TYPE_CHECKING:
    from pathlib import Path

HEAD = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
RGB_CHANNEL = '<Channel ID="Channel:0" SamplesPerPixel="3"/>'


def element(name: str, shape: tuple[int, int], inner: str = RGB_CHANNEL, more: str = "") -> str:
    size = f'SizeY="{shape[0]}" SizeX="{shape[1]}" SizeC="3" SizeZ="1" SizeT="1"'
    return f'<Image ID="Image:0" Name="{name}"><Pixels {size} {more}>{inner}</Pixels></Image>'


def with_xml(place: Path, *images: str) -> Path:
    (place / "OME").mkdir(exist_ok=True)
    (place / "OME" / "METADATA.ome.xml").write_text(f"{HEAD}{''.join(images)}</OME>")
    return place


def test_an_image_that_is_named_a_label_is_no_slide_however_large(tmp_path: Path) -> None:
    place = bioformats2raw(tmp_path / "a.zarr", ["0", "1"])
    with_xml(place, element("scan", (60, 50)), element("label image", (120, 160)))
    with open_slide(place) as slide:
        assert slide.levels[0].shape == (60, 50)
        assert any("series 1 'label image'" in text for text in slide.warnings)


def test_channels_of_the_xml_count_where_the_image_says_nothing(tmp_path: Path) -> None:
    place = tmp_path / "a.zarr"
    bioformats2raw(place, ["0"])
    image(place / "0", SLIDE, channels=None)
    with open_slide(with_xml(place, element("scan", (120, 160)))) as slide:
        assert not slide.warnings
    stains = "".join(f'<Channel ID="{n}" Name="{n}"/>' for n in ("DAPI", "FITC", "Cy5"))
    with pytest.raises(SlideError, match="'DAPI', 'FITC', 'Cy5'"):
        open_slide(with_xml(place, element("scan", (120, 160), stains)))


@pytest.mark.parametrize(
    ("unit", "mpp", "said"),
    [
        (None, Mpp(0.25, "ome-xml"), "without a unit"),
        ("micrometer", Mpp(0.5, "ome"), "two pixel sizes"),
    ],
)
def test_a_pixel_size_of_the_xml_is_compared(
    tmp_path: Path, unit: str | None, mpp: Mpp, said: str
) -> None:
    place = bioformats2raw(tmp_path / "a.zarr", ["0"])
    image(place / "0", SLIDE, unit=unit)
    size = 'PhysicalSizeY="250" PhysicalSizeYUnit="nm" PhysicalSizeX="0.25"'
    with open_slide(with_xml(place, element("scan", (120, 160), more=size))) as slide:
        assert slide.mpp == mpp
        assert any(said in text for text in slide.warnings)


def test_xml_of_other_sizes_is_not_used_and_damaged_xml_is_refused(tmp_path: Path) -> None:
    place = bioformats2raw(tmp_path / "a.zarr", ["0"])
    with open_slide(with_xml(place, element("label", (120, 161)))) as slide:
        assert any("another size of series 0" in text for text in slide.warnings)
    (place / "OME" / "METADATA.ome.xml").write_text("<OME>")
    with pytest.raises(SlideError, match=r"METADATA\.ome\.xml cannot be read as OME-XML"):
        open_slide(place)
