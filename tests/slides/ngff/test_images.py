"""Which images an OME-Zarr holds, in every layout in which there may be several."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
import zarr

from napari_fddm.core.errors import SlideError
from napari_fddm.slides import open_slide
from napari_fddm.slides.opening import slide_spec
from tests.slides.ngff.test_omezarr import planar, write
from tests.support.slides import stained

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.slides import Rgb

SLIDE, OVERVIEW = stained(120, 160), stained(60, 50)


def image(place: Path, pixels: Rgb, **options: Any) -> None:
    write(place, [planar(pixels)], "cyx", **options)


def describe(place: Path, attributes: dict[str, Any], version: str = "0.5") -> None:
    group = zarr.open_group(place, mode="a", zarr_format=3 if version == "0.5" else 2)
    group.attrs.update({"ome": attributes} if version == "0.5" else attributes)


def bioformats2raw(
    place: Path, paths: list[str], version: str = "0.5", listed: bool = True
) -> Path:
    """Write the slide as the last of the images, an overview as the others."""
    describe(place, {"bioformats2raw.layout": 3}, version)
    if listed:
        describe(place / "OME", {"series": paths}, version)
    for path in paths:
        pixels = SLIDE if path == paths[-1] else OVERVIEW
        image(place / path, pixels, version=version, scale=0.5 if path == paths[-1] else 2.0)
    return place


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(
    ("paths", "listed"), [(["0", "1", "2"], False), (["0", "1"], True), (["b", "a", "c"], True)]
)
def test_series_of_bioformats2raw(
    tmp_path: Path, version: str, paths: list[str], listed: bool
) -> None:
    place = bioformats2raw(tmp_path / "a.zarr", paths, version, listed)
    last = len(paths) - 1
    with open_slide(place) as slide:
        assert (slide.levels[0].shape, slide.mpp.value) == (SLIDE.shape[:2], 0.5)
        assert slide.series == last  # type: ignore[attr-defined]
        assert any(f"series {last}" in w and "series 0" in w for w in slide.warnings)
        assert slide_spec(slide) == str(place)
    with open_slide(place, series=0) as other:
        assert (other.levels[0].shape, other.mpp.value) == (OVERVIEW.shape[:2], 2.0)
        assert other.fingerprint != slide.fingerprint
        with open_slide(slide_spec(other)) as again:
            assert again.fingerprint == other.fingerprint
    with pytest.raises(SlideError, match=f"no series {last + 1}"):
        open_slide(place, series=last + 1)


def test_a_plate_lists_its_fields(tmp_path: Path) -> None:
    describe(tmp_path / "p.zarr", {"plate": {"wells": [{"path": "A/1"}, {"path": "B/2"}]}})
    for well, pixels in (("A/1", OVERVIEW), ("B/2", SLIDE)):
        describe(tmp_path / "p.zarr" / well, {"well": {"images": [{"path": "0"}]}})
        image(tmp_path / "p.zarr" / well / "0", pixels)
    with open_slide(tmp_path / "p.zarr") as slide:
        assert slide.levels[0].shape == SLIDE.shape[:2]
        assert any("series 0" in text for text in slide.warnings)


def test_several_multiscales_of_one_group(tmp_path: Path) -> None:
    image(tmp_path / "a.zarr", OVERVIEW)
    group = zarr.open_group(tmp_path / "a.zarr")
    ome = dict(group.attrs["ome"])
    array = group.create_array("fine", shape=(3, *SLIDE.shape[:2]), dtype="u1")
    array[...] = planar(SLIDE)
    first = ome["multiscales"][0]
    transforms = first["datasets"][0]["coordinateTransformations"]
    second = {**first, "datasets": [{"path": "fine", "coordinateTransformations": transforms}]}
    group.attrs["ome"] = {**ome, "multiscales": [first, {**second, "name": "finer"}]}
    with open_slide(tmp_path / "a.zarr") as slide:
        assert slide.levels[0].shape == SLIDE.shape[:2]
        assert any("'finer'" in text and "series 0" in text for text in slide.warnings)


def test_a_group_of_images_with_names(tmp_path: Path) -> None:
    zarr.open_group(tmp_path / "a.zarr", mode="w")
    for name, pixels in (("scan 10", SLIDE), ("scan 2", OVERVIEW)):
        image(tmp_path / "a.zarr" / name, pixels)
    zarr.open_group(tmp_path / "a.zarr" / "tables", mode="w")
    with open_slide(tmp_path / "a.zarr") as slide:
        assert (slide.levels[0].shape, slide.series) == (SLIDE.shape[:2], 1)  # type: ignore[attr-defined]


def test_images_without_pixels_keep_their_number(tmp_path: Path) -> None:
    place = bioformats2raw(tmp_path / "a.zarr", ["0", "1"])
    zarr.open_group(place / "stub", mode="w")
    describe(place / "OME", {"series": ["stub", "0", "1"]})
    with open_slide(place) as slide:
        assert any("series 0 (0 × 0 px), which has no pixels" in w for w in slide.warnings)
        assert slide.series == 2  # type: ignore[attr-defined]


def test_a_listed_image_that_is_lost_might_be_the_slide(tmp_path: Path) -> None:
    place = bioformats2raw(tmp_path / "a.zarr", ["0", "1"])
    describe(place / "OME", {"series": ["0", "1", "2"]})
    lost = r"series 2 of a\.zarr is lost: there is no zarr group '2'"
    with pytest.raises(SlideError, match=lost):
        open_slide(place)
    with open_slide(place, series=1) as slide:
        assert slide.levels[0].shape == SLIDE.shape[:2]


def test_a_numbered_folder_without_metadata_is_a_lost_image(tmp_path: Path) -> None:
    place = bioformats2raw(tmp_path / "a.zarr", ["0", "1"])
    shutil.rmtree(place / "OME", ignore_errors=True)
    (place / "1" / "zarr.json").unlink()
    with pytest.raises(SlideError, match=r"series 1 of a\.zarr is lost"):
        open_slide(place)


def test_images_that_are_no_slides_are_not_chosen(tmp_path: Path) -> None:
    place = bioformats2raw(tmp_path / "a.zarr", ["0", "1"])
    stains = (("DAPI", "0000FF"), ("FITC", "00FF00"), ("Cy5", "FF0000"))
    image(place / "2", stained(300, 300), channels=stains)
    describe(place / "OME", {"series": ["0", "1", "2"]})
    with open_slide(place) as slide:
        assert slide.levels[0].shape == SLIDE.shape[:2]
        assert any("series 2" in w and "'DAPI'" in w for w in slide.warnings)
    with pytest.raises(SlideError, match="DAPI"):
        open_slide(place, series=2)


def test_a_damaged_image_might_be_the_slide(tmp_path: Path) -> None:
    place = bioformats2raw(tmp_path / "a.zarr", ["0", "1"])
    (place / "1" / "0" / "zarr.json").write_text("{")
    with pytest.raises(SlideError, match=r"series 1 of a\.zarr cannot be read"):
        open_slide(place)
    with open_slide(place, series=0) as slide:
        assert slide.levels[0].shape == OVERVIEW.shape[:2]


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"multiscales": 3}, "multiscales are no list"),
        ({"multiscales": [3]}, "expected a JSON object"),
        ({"plate": 3}, "the plate of"),
        ({"plate": {"wells": {}}}, "without lists of images"),
        ({"multiscales": [{}] * 600}, "600 images"),
    ],
)
def test_damaged_lists_are_refused(tmp_path: Path, attributes: dict[str, Any], said: str) -> None:
    describe(tmp_path / "a.zarr", attributes)
    with pytest.raises(SlideError, match=said):
        open_slide(tmp_path / "a.zarr")


def test_a_list_of_series_that_is_none_is_refused(tmp_path: Path) -> None:
    describe(tmp_path / "a.zarr", {"bioformats2raw.layout": 3})
    describe(tmp_path / "a.zarr" / "OME", {"series": [0, 1]})
    with pytest.raises(SlideError, match="no list of paths"):
        open_slide(tmp_path / "a.zarr")
