"""Real scanners' files; skipped where the data folder is absent.

Set NAPARI_FDDM_DATA to the folder that contains ``wsi/``.
"""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.errors import SlideError
from napari_fddm.core.geometry import Mpp, Region
from napari_fddm.slides import ArraySlide, PyramidSlide, open_slide
from napari_fddm.slides.opening import slide_spec
from napari_fddm.slides.openslide import OpenSlideSlide
from napari_fddm.slides.tiff import TiffSlide
from tests.support.data import WSI

pytestmark = pytest.mark.skipif(not WSI.is_dir(), reason=f"no real slides in {WSI}")

SLIDES = {
    "svs/CMU-1-Small-Region.svs": ("tiff", 0.499, "vendor"),
    "svs/tcga-cr-7395-01a-01-ts1.svs": ("tiff", None, "unknown"),
    "ndpi/test3-DAPI-2-(387).ndpi": ("openslide", 0.2282, "vendor"),
    "dicom/CMU-1-Small-Region": ("openslide", 0.499, "vendor"),
    "derived/CMU-1-region.ome.tif": ("tiff", 0.499, "ome"),
    "derived/CMU-1-region_pyramid.tif": ("tiff", 0.499, "tiff-resolution"),
    "osteosarcoma-mosaics/P9_mosaic.tif": ("tiff", 1.0, "tiff-resolution"),
    "ome/cells.ome.tif": ("tiff", 0.25, "ome"),
    "tiff/kidney-48-5.tif": ("tiff", None, "unknown"),
    "boxes/boxes.tiff": ("tiff", None, "unknown"),
    "boxes/boxes_0.dcm": ("openslide", 0.499, "vendor"),
}


def opened(name: str) -> PyramidSlide:
    if not (WSI / name).exists():
        pytest.skip(f"no {name}")
    slide = open_slide(WSI / name)
    assert isinstance(slide, PyramidSlide)
    return slide


@pytest.mark.parametrize("name", SLIDES)
def test_opens_and_reads(name: str) -> None:
    backend, mpp, source = SLIDES[name]
    with opened(name) as slide:
        assert (slide.backend, slide.mpp.source) == (backend, source)
        assert slide.mpp.value == (mpp if mpp is None else pytest.approx(mpp, rel=1e-3))
        image = slide.read_scaled(slide.extent, max(1.0, slide.extent.height / 512))
        assert image.std() > 5
        lazy = slide.as_dask()
        assert len(lazy) == len(slide.levels)
        corner = slide.read_level(0, 0, 0, 16, 16)
        np.testing.assert_array_equal(np.asarray(lazy[0][:16, :16]), corner)
        with open_slide(slide_spec(slide)) as again:  # type: ignore[attr-defined]
            assert again.fingerprint == slide.fingerprint


@pytest.mark.parametrize(
    "name",
    [
        "svs/CMU-1-Small-Region.svs",
        "svs/tcga-cr-7395-01a-01-ts1.svs",
        "derived/CMU-1-region_pyramid.tif",
        "osteosarcoma-mosaics/Case-3_mosaic.tif",
    ],
)
def test_both_readers_see_the_same(name: str) -> None:
    opened(name).close()
    with TiffSlide(WSI / name) as one, OpenSlideSlide(WSI / name) as other:
        assert one.levels == other.levels
        for level in one.levels:
            height, width = level.shape
            window = (level.index, height // 3, width // 2, min(height // 2, 400), width // 3)
            one_image, other_image = (s.read_level(*window).astype(int) for s in (one, other))
            # OpenSlide shifts coarser levels by a fraction of a pixel.
            limit = 1 if level.index == 0 else 6
            assert np.abs(one_image - other_image).mean() < limit


def test_three_containers_of_one_scan_agree() -> None:
    names = (
        "svs/CMU-1-Small-Region.svs",
        "dicom/CMU-1-Small-Region",
        "derived/CMU-1-region_pyramid.tif",
    )
    region = Region(700, 900, 200, 200)
    with opened(names[0]) as scan:
        for name in names[1:]:
            with opened(name) as other:
                assert max(displacement(other, scan, region, 1.0)) < 0.1
                one, two = (s.read_region(region, 0.9).astype(int) for s in (scan, other))
                assert np.abs(one - two).mean() < 6  # compressed once more


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("svs/tcga-cr-7395-01a-01-ts1.svs", 0.1),  # binned by a scanner
        ("derived/CMU-1-region_pyramid.tif", 0.15),  # stretched by a library
        ("osteosarcoma-mosaics/Case-3_mosaic.tif", 0.1),
    ],
)
def test_levels_lie_on_level_zero(name: str, limit: float) -> None:
    with opened(name) as slide, ArraySlide(np.asarray(slide.as_dask()[0])) as finest:
        for level in slide.levels[1:]:
            corner = far_texture(finest, 60 * level.downsample, level.downsample)
            assert max(displacement(slide, finest, corner, level.downsample)) < limit


def far_texture(slide: PyramidSlide, size: float, downsample: float) -> Region:
    """Return the window farthest from the origin that shows tissue."""
    height, width = slide.levels[0].shape
    rows = np.arange(2 * downsample, height - size - 2 * downsample, size / 2)
    cols = np.arange(2 * downsample, width - size - 2 * downsample, size / 2)
    windows = [Region(y, x, size, size) for y in rows.tolist() for x in cols.tolist()]
    windows.sort(key=lambda w: -(w.y + w.x))
    return next(w for w in windows if slide.read_scaled(w, downsample).std() > 25)


def displacement(
    slide: PyramidSlide, finest: PyramidSlide, region: Region, downsample: float
) -> tuple[float, float]:
    """Return by how many output pixels (y, x) a coarse read must move to fit level 0 best."""
    there = slide.read_scaled(region, downsample).astype(int)

    def misfit(dy: float, dx: float) -> float:
        moved = Region(
            region.y + dy * downsample, region.x + dx * downsample, region.height, region.width
        )
        return float(np.abs(finest.read_scaled(moved, downsample) - there).mean())

    steps = [float(s) for s in np.linspace(-1, 1, 41)]
    y = min(steps, key=lambda s: misfit(s, 0))
    x = min(steps, key=lambda s: misfit(y, s))
    y = min(steps, key=lambda s: misfit(s, x))
    return abs(y), abs(x)


def test_fluorescence_is_warned_of() -> None:
    with opened("ndpi/test3-DAPI-2-(387).ndpi") as slide:
        assert any("dark" in w for w in slide.warnings)


def test_ndpi_through_tifffile_is_the_same_picture() -> None:
    name = "ndpi/test3-DAPI-2-(387).ndpi"
    opened(name).close()
    with TiffSlide(WSI / name) as one, OpenSlideSlide(WSI / name) as other:
        region = Region(1000, 1000, 1200, 1500)
        difference = one.read_scaled(region, 3.0).astype(int) - other.read_scaled(region, 3.0)
        assert np.abs(difference).mean() < 1
        assert one.mpp.value == pytest.approx(other.mpp.value, rel=1e-3)


def test_ome_tiff_levels_are_in_subifds() -> None:
    with opened("derived/CMU-1-region.ome.tif") as slide:
        assert len(slide.levels) == 4


@pytest.mark.parametrize(
    "name",
    [
        *(f"malformed/{n}" for n in (
            "broken.svs", "empty.svs", "text_named.svs", "truncated_half.svs",
            "unopenable.tiff", "OT-MONO2-8-colon.dcm",
        )),
        "ome/cells-2c.ome.tif",
        "tiff/smalltif.tif",
        "dicom/pathml_small/small_dicom.dcm",
        "manifest.csv",
        "osteosarcoma-mosaics/P9_mosaic.gt.json",
        "dicom",
        "malformed",
        "svs",
    ],
)  # fmt: skip
def test_what_is_no_slide_says_so_in_one_line(name: str) -> None:
    path = WSI / name
    if not path.exists():
        pytest.skip(f"no {name}")
    with pytest.raises(SlideError) as caught:
        open_slide(path)
    text = str(caught.value)
    assert "\n" not in text
    assert path.name in text
    assert caught.value.hint


def test_pixel_size_of_dicom_overviews_is_not_believed() -> None:
    with opened("dicom/ez_camelyon/multiframe_camelyon_challenge_image.dcm") as slide:
        assert slide.mpp == Mpp(None, "unknown")
        assert any("28.9" in w for w in slide.warnings)
