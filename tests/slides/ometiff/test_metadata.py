from __future__ import annotations

from pathlib import Path

import pytest

from napari_fddm.core.errors import SlideError
from napari_fddm.slides.ometiff.metadata import read_ome

PLACE = Path("a.ome.tif")
PIXELS = (
    '<o:OME xmlns:o="urn:ome" UUID="urn:uuid:AA"><o:Image ID="Image:7" Name="scan">'
    '<o:Pixels DimensionOrder="XYZCT" SizeX="20" SizeY="10" SizeC="2" SizeZ="3" SizeT="4" {more}>'
    '<o:Channel Name="DAPI" Color="65535" SamplesPerPixel="1"/><o:Channel Color="x"/>{data}'
    "</o:Pixels></o:Image></o:OME>"
)


def one(data: str = "", more: str = ""):
    (image,) = read_ome(PIXELS.format(data=data, more=more), PLACE).images
    return image


def test_an_image_with_its_sizes_and_channels() -> None:
    image = one(more='PhysicalSizeX="0.5" PhysicalSizeY="0.25" PhysicalSizeYUnit="mm"')
    assert (image.id, image.name, image.shape, image.sizes) == (
        "Image:7",
        "scan",
        (10, 20),
        (2, 3, 4),
    )
    assert image.order == "ZCT"
    assert [channel.name for channel in image.channels] == ["DAPI", ""]
    assert [channel.color for channel in image.channels] == [(0, 0, 255), None]
    assert (image.pixel, image.units) == (("0.25", "0.5"), ("mm", "µm"))


def test_where_planes_lie() -> None:
    uuid = '<o:UUID FileName="b.tif"> urn:uuid:BB </o:UUID>'
    first, second = one(
        f'<o:TiffData IFD="3" FirstC="1" FirstZ="2" FirstT="1">{uuid}</o:TiffData><o:TiffData/>'
    ).data
    assert (first.first, first.ifd, first.count) == ((1, 2, 1), 3, 1)
    assert (first.file, first.uuid) == ("b.tif", "urn:uuid:bb")
    assert (second.first, second.ifd, second.count, second.file) == ((0, 0, 0), 0, None, "")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ('<o:TiffData IFD="-1"/>', "IFD of TiffData is '-1'"),
        ('<o:TiffData PlaneCount="1e9"/>', "1e9"),
    ],
)
def test_numbers_that_are_none_are_refused(data: str, said: str) -> None:
    with pytest.raises(SlideError, match=said):
        one(data)


def test_metadata_in_another_file() -> None:
    found = read_ome('<OME><BinaryOnly MetadataFile="m.ome" UUID="urn:uuid:C"/></OME>', PLACE)
    assert (found.companion, found.uuid, found.images) == ("m.ome", "urn:uuid:c", ())
