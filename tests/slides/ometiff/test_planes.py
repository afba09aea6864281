from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from napari_fddm.core.errors import SlideError
from napari_fddm.core.geometry import Mpp
from napari_fddm.slides.tiff import TiffSlide
from tests.support.slides import noise

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HEAD = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
IMAGE = noise(150, 200)
OTHER = noise(150, 200, seed=1)


def uid(number: int) -> str:
    return f"urn:uuid:{uuid.UUID(int=number)}"


def image_xml(
    number: int,
    data: str,
    shape: tuple[int, int] = (150, 200),
    *,
    mpp: float = 0.5,
    channels: Sequence[str] = (),
    size: str = "",
    power: str = "",
) -> str:
    """Return one Image element; three channels are planes of their own."""
    said = "".join(f'<Channel ID="C:{c}" {text}/>' for c, text in enumerate(channels))
    said = said or '<Channel ID="C:0" SamplesPerPixel="3"/>'
    size = size or f'PhysicalSizeX="{mpp}" PhysicalSizeY="{mpp}"'
    ref = f'<ObjectiveSettings ID="{power}"/>' if power else ""
    return (
        f'<Image ID="Image:{number}" Name="image {number}">{ref}<Pixels ID="P:{number}" '
        f'DimensionOrder="XYCZT" Type="uint8" SizeX="{shape[1]}" SizeY="{shape[0]}" SizeC="3" '
        f'SizeZ="1" SizeT="1" {size}>{said}{data}</Pixels></Image>'
    )


def tiff_data(name: str = "", number: int | None = None, ifd: int = 0, channel: int = 0) -> str:
    text = "" if number is None else uid(number)
    file = f'<UUID FileName="{name}">{text}</UUID>' if name else ""
    return f'<TiffData FirstC="{channel}" IFD="{ifd}" PlaneCount="1">{file}</TiffData>'


def write(
    path: Path, pages: Sequence[Any], xml: str, number: int | None = None, **more: Any
) -> Path:
    """Write pages, the first with OME-XML and the file's identity."""
    own = f' UUID="{uid(number)}"' if number is not None else ""
    with tifffile.TiffWriter(path) as writer:
        for k, page in enumerate(pages):
            options = {
                "photometric": "rgb" if page.ndim == 3 else "minisblack",
                "tile": (64, 64),
                "metadata": None,
                "contiguous": False,
                "compression": "zlib",
                **more,
            }
            if k == 0:
                options["description"] = f"{HEAD}{own}>{xml}</OME>".encode()
            writer.write(page, **options)
    return path


def whole(slide: TiffSlide) -> Any:
    return slide.read_level(0, 0, 0, *slide.levels[0].shape)


# Identity --------------------------------------------------------------------------------


def set_of_two() -> str:
    first = image_xml(0, tiff_data("A.ome.tif", 11), mpp=0.25)
    return first + image_xml(1, tiff_data("B.ome.tif", 12), mpp=0.5)


@pytest.mark.parametrize("name", ["B.ome.tif", "renamed.ome.tif", "A.ome.tif"])
@pytest.mark.parametrize("together", [True, False])
def test_a_file_of_a_set_is_told_by_its_uuid_whatever_its_name(
    tmp_path: Path, name: str, together: bool
) -> None:
    if together and name != "A.ome.tif":
        write(tmp_path / "A.ome.tif", [OTHER], set_of_two(), 11)
    path = write(tmp_path / name, [IMAGE], set_of_two(), 12)
    with TiffSlide(path) as slide:
        assert slide.mpp == Mpp(0.5, "ome")
        np.testing.assert_array_equal(whole(slide), IMAGE)
        assert slide.images == ()
        assert any("lie in other files: A.ome.tif" in w for w in slide.warnings)


def test_without_uuids_file_names_tell_them_apart(tmp_path: Path) -> None:
    xml = image_xml(0, tiff_data("A.ome.tif"), mpp=0.25) + image_xml(1, tiff_data("B.ome.tif"))
    with TiffSlide(write(tmp_path / "B.ome.tif", [IMAGE], xml)) as slide:
        assert slide.mpp == Mpp(0.5, "ome")


def test_the_only_file_may_have_been_renamed(tmp_path: Path) -> None:
    path = write(tmp_path / "new.ome.tif", [IMAGE], image_xml(0, tiff_data("old.ome.tif")))
    with TiffSlide(path) as slide:
        assert slide.mpp == Mpp(0.5, "ome")


@pytest.mark.parametrize("reverse", [False, True])
def test_an_image_is_found_by_its_page(tmp_path: Path, reverse: bool) -> None:
    small = noise(15, 20)
    images = [
        image_xml(0, "<MetadataOnly/>", (15, 20), mpp=4),
        image_xml(1, tiff_data(ifd=0), (15, 20), mpp=4),
        image_xml(2, tiff_data(ifd=1)),
    ]
    xml = "".join(reversed(images) if reverse else images)
    with TiffSlide(write(tmp_path / "a.ome.tif", [small, IMAGE], xml)) as slide:
        assert slide.mpp == Mpp(0.5, "ome")
        np.testing.assert_array_equal(whole(slide), IMAGE)
        assert slide.series == (0 if reverse else 2)
        (note,) = (w for w in slide.warnings if "not analyzed" in w)
        assert "(20 × 15 px)" in note
        assert "no pixels" in note


def test_a_size_that_disagrees_gives_no_pixel_size(tmp_path: Path) -> None:
    xml = image_xml(0, tiff_data(), (300, 400))
    with TiffSlide(write(tmp_path / "a.ome.tif", [IMAGE], xml)) as slide:
        assert slide.mpp == Mpp(None, "unknown")
        assert any("400 × 300 px" in w and "200 × 150 px" in w for w in slide.warnings)


def test_a_page_that_no_image_names_is_listed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ome.tif", [IMAGE, noise(40, 30)], image_xml(0, tiff_data()))
    with TiffSlide(path) as slide:
        assert [image.shape for image in slide.images] == [(150, 200), (40, 30)]
        assert any("(30 × 40 px)" in w for w in slide.warnings)


def test_the_objective_is_that_of_the_image(tmp_path: Path) -> None:
    objectives = (
        '<Instrument ID="I:0"><Objective ID="O:0" NominalMagnification="5"/>'
        '<Objective ID="O:1" NominalMagnification="20"/></Instrument>'
    )
    xml = objectives + image_xml(0, tiff_data(), size='SizeA=""', power="O:1")
    with TiffSlide(write(tmp_path / "a.ome.tif", [IMAGE], xml)) as slide:
        assert slide.mpp == Mpp(0.5, "objective-power")


# Planes ----------------------------------------------------------------------------------

NAMES = ("c0.ome.tif", "c1.ome.tif", "c2.ome.tif")
RGB = ('Name="Red"', 'Name="Green"', 'Name="Blue"')


def write_set(folder: Path, files: Sequence[int] = (0, 1, 2), **more: Any) -> Path:
    """Write one plane of `IMAGE` per file; returns the first."""
    data = "".join(tiff_data(name, c + 1, channel=c) for c, name in enumerate(NAMES))
    for c in files:
        options = {"compression": None} if c == 0 else {}  # so that their offsets differ
        write(folder / NAMES[c], [IMAGE[..., c]], image_xml(0, data, channels=RGB), c + 1,
              **{**options, **more})  # fmt: skip
    return folder / NAMES[files[0]]


def test_planes_are_read_from_their_own_files(tmp_path: Path) -> None:
    with TiffSlide(write_set(tmp_path)) as slide:
        np.testing.assert_array_equal(whole(slide), IMAGE)
        assert slide.mpp == Mpp(0.5, "ome")
        first = slide.fingerprint
    write(tmp_path / NAMES[2], [OTHER[..., 2]], "", 3)
    with TiffSlide(tmp_path / NAMES[0]) as slide:
        assert slide.fingerprint != first


def test_a_part_of_a_set_is_refused_naming_what_is_missing(tmp_path: Path) -> None:
    path = write_set(tmp_path, [0])
    with pytest.raises(SlideError, match=r"c0\.ome\.tif .*: c1\.ome\.tif, c2\.ome\.tif") as caught:
        TiffSlide(path)
    assert "one folder" in caught.value.hint


def test_another_file_of_the_same_name_is_no_companion(tmp_path: Path) -> None:
    path = write_set(tmp_path, [0, 1])
    write(tmp_path / NAMES[2], [OTHER[..., 2]], image_xml(0, tiff_data()), 99)
    with pytest.raises(SlideError, match=r"another file of that name: c2\.ome\.tif"):
        TiffSlide(path)


def test_a_companion_outside_the_folder_is_not_opened(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    write(tmp_path / "c1.ome.tif", [IMAGE[..., 1]], "", 2)
    data = tiff_data("a.ome.tif", 1) + tiff_data("../c1.ome.tif", 2, channel=1)
    path = write(inside / "a.ome.tif", [IMAGE[..., 0]], image_xml(0, data, channels=RGB), 1)
    with pytest.raises(SlideError, match=r"not here.*c1\.ome\.tif"):
        TiffSlide(path)


def test_color_planes_that_differ_in_size_are_refused(tmp_path: Path) -> None:
    path = write_set(tmp_path, [0, 1])
    data = "".join(tiff_data(name, c + 1, channel=c) for c, name in enumerate(NAMES))
    write(tmp_path / NAMES[2], [IMAGE[:99, :, 2]], image_xml(0, data, channels=RGB), 3)
    with pytest.raises(SlideError, match="differ in size or layout"):
        TiffSlide(path)


@pytest.mark.parametrize(
    ("channels", "colors"),
    [
        (('Name="Blue"', 'Name="Green"', 'Name="Red"'), [2, 1, 0]),
        (('Name="G"', 'Name="B"', 'Name="R"'), [1, 2, 0]),
        (('Color="65535"', 'Color="16711935"', 'Color="-16776961"'), [2, 1, 0]),
        (('Name="C1"', 'Name="C2"', 'Name="C3"'), [0, 1, 2]),
    ],
    ids=["names", "letters", "colors", "nothing"],
)
@pytest.mark.parametrize("interleaved", [False, True], ids=["planes", "samples"])
def test_channels_are_put_in_order_by_name_and_color(
    tmp_path: Path, channels: Sequence[str], colors: list[int], interleaved: bool
) -> None:
    stored = np.ascontiguousarray(IMAGE[..., colors])
    if interleaved:
        path = write(tmp_path / "a.ome.tif", [stored], image_xml(0, tiff_data(), channels=channels))
    else:
        data = "".join(tiff_data(ifd=c, channel=c) for c in range(3))
        pages = [stored[..., c] for c in range(3)]
        path = write(tmp_path / "a.ome.tif", pages, image_xml(0, data, channels=channels))
    with TiffSlide(path) as slide:
        np.testing.assert_array_equal(whole(slide), IMAGE)


def test_planes_follow_first_c_not_the_order_of_pages(tmp_path: Path) -> None:
    data = "".join(tiff_data(ifd=2 - c, channel=c) for c in range(3))
    pages = [IMAGE[..., 2 - c] for c in range(3)]
    path = write(tmp_path / "a.ome.tif", pages, image_xml(0, data, channels=RGB))
    with TiffSlide(path) as slide:
        np.testing.assert_array_equal(whole(slide), IMAGE)


def test_stains_are_refused_by_name(tmp_path: Path) -> None:
    channels = ('Name="DAPI"', 'Name="FITC"', 'Name="Cy5"')
    data = "".join(tiff_data(ifd=c, channel=c) for c in range(3))
    pages = [IMAGE[..., c] for c in range(3)]
    path = write(tmp_path / "a.ome.tif", pages, image_xml(0, data, channels=channels))
    with pytest.raises(SlideError, match="DAPI"):
        TiffSlide(path)


def test_a_missing_plane_is_refused(tmp_path: Path) -> None:
    data = tiff_data(ifd=0) + tiff_data(ifd=1, channel=1)
    pages = [IMAGE[..., 0], IMAGE[..., 1]]
    path = write(tmp_path / "a.ome.tif", pages, image_xml(0, data, channels=RGB))
    with pytest.raises(SlideError, match="incomplete: 1 of 3 planes"):
        TiffSlide(path)


# Metadata in another file ----------------------------------------------------------------


@pytest.mark.parametrize("there", [True, False])
def test_metadata_may_lie_in_a_companion(tmp_path: Path, there: bool) -> None:
    xml = f'{HEAD} UUID="{uid(5)}">{image_xml(0, tiff_data("a.ome.tif", 7))}</OME>'
    if there:
        (tmp_path / "set.companion.ome").write_text(xml)
    only = f'<BinaryOnly MetadataFile="set.companion.ome" UUID="{uid(5)}"/>'
    path = write(tmp_path / "a.ome.tif", [IMAGE], only, 7)
    if not there:
        with pytest.raises(SlideError, match=r"set\.companion\.ome is missing"):
            TiffSlide(path)
        return
    with TiffSlide(path) as slide:
        assert slide.mpp == Mpp(0.5, "ome")
        np.testing.assert_array_equal(whole(slide), IMAGE)
