from __future__ import annotations

import pickle
import tracemalloc
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core.classes import OSTEOSARCOMA, Role
from napari_fddm.core.errors import ConfigError, SlideError
from napari_fddm.core.geometry import MapGeometry, Region
from napari_fddm.slides.synthetic import SyntheticSlide

if TYPE_CHECKING:
    from pathlib import Path
from napari_fddm.slides.synthetic.slide import texture_sheet

BG = OSTEOSARCOMA["BG"].value

SIDE = 4096


@cache
def make_slide(seed: int = 3) -> SyntheticSlide:
    return SyntheticSlide(SIDE, SIDE, mpp=0.5, seed=seed)


def whole(slide: SyntheticSlide) -> Region:
    return Region(0, 0, *slide.levels[0].shape)


def fractions(labels: np.ndarray) -> np.ndarray:
    return np.bincount(labels.ravel(), minlength=8)[1:] / labels.size


@pytest.mark.parametrize("shape", [(1, 1), (1024, 1024), (1025, 300), (5001, 7003), (100, 9000)])
def test_levels_are_powers_of_two_down_to_1024(shape: tuple[int, int]) -> None:
    levels = SyntheticSlide(*shape).levels
    assert [level.downsample for level in levels] == [2.0**i for i in range(len(levels))]
    assert max(levels[-1].shape) <= 1024
    assert len(levels) == 1 or max(levels[-2].shape) > 1024
    for level in levels:
        assert level.shape == tuple(-(-n // int(level.downsample)) for n in shape)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shape", [(4000, 4000), (4000, 9001)])
def test_every_class_has_a_percent_and_the_tumor_bed_prevails(
    shape: tuple[int, int], seed: int
) -> None:
    slide = SyntheticSlide(*shape, mpp=0.5, seed=seed)
    part = fractions(slide.truth_map(MapGeometry.covering(shape, 16.0, 0.5)))
    assert part.min() >= 0.01
    assert sum(part[c.channel] for c in OSTEOSARCOMA.tumor_bed) > 0.6 * (1 - part[BG - 1])


def test_necrosis_rate_varies_with_the_seed() -> None:
    rates = []
    for seed in range(24):
        slide = SyntheticSlide(4000, 4000, mpp=0.5, seed=seed)
        part = fractions(slide.truth_map(MapGeometry.covering((4000, 4000), 20.0, 0.5)))
        dead = sum(part[c.channel] for c in OSTEOSARCOMA.with_role(Role.TUMOR_BED))
        rates.append(dead / (dead + part[OSTEOSARCOMA["VT"].value - 1]))
    assert 0.25 < min(rates) < 0.5
    assert 0.8 < max(rates) < 0.98


def test_same_parameters_same_bytes_and_other_seeds_differ() -> None:
    region = Region(1500, 1500, 512, 512)
    first = SyntheticSlide(SIDE, SIDE, seed=3).read_region(region, 1.0)
    np.testing.assert_array_equal(first, make_slide(3).read_region(region, 1.0))
    other = make_slide(4)
    assert (first != other.read_region(region, 1.0)).mean() > 0.5
    truth = make_slide(3).truth_labels(whole(other), 8.0)
    assert (truth != other.truth_labels(whole(other), 8.0)).mean() > 0.2


def test_fingerprint_tells_content_and_not_name() -> None:
    base = SyntheticSlide(100, 200, mpp=0.5, seed=1)
    assert SyntheticSlide(100, 200, mpp=0.5, seed=1, name="x").fingerprint == base.fingerprint
    others = [
        SyntheticSlide(200, 100, mpp=0.5, seed=1),
        SyntheticSlide(100, 200, mpp=0.25, seed=1),
        SyntheticSlide(100, 200, mpp=0.5, seed=2),
    ]
    assert len({s.fingerprint for s in [base, *others]}) == 4


@settings(max_examples=40, deadline=None)
@given(
    mpp=st.sampled_from([0.25, 0.5, 0.7, 1.0, 2.0, 6.3, 30.0]),
    y=st.integers(-60, 330),
    x=st.integers(-60, 330),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    start=st.tuples(st.integers(0, 12), st.integers(0, 12)),
)
def test_tile_equals_crop_bit_for_bit(
    mpp: float, y: int, x: int, height: int, width: int, start: tuple[int, int]
) -> None:
    slide = make_slide()
    cell = mpp / 0.5
    oy, ox = (300 * n for n in start) if mpp < 4 else (0, 0)
    large = Region((oy - 60) * cell, (ox - 60) * cell, 480 * cell, 480 * cell)
    small = Region((oy + y) * cell, (ox + x) * cell, height * cell, width * cell)
    cut = (slice(y + 60, y + 60 + height), slice(x + 60, x + 60 + width))
    tile, crop = slide.read_region(small, mpp), slide.read_region(large, mpp)[cut]
    np.testing.assert_array_equal(tile, crop)
    np.testing.assert_array_equal(
        slide.truth_labels(small, mpp), slide.truth_labels(large, mpp)[cut]
    )


def test_tile_equals_crop_off_the_whole_pixel_grid() -> None:
    slide = make_slide()
    large = slide.read_region(Region(1000.3, 1000.7, 600, 600), 1.0)
    small = slide.read_region(Region(1000.3 + 2 * 37, 1000.7 + 2 * 11, 200, 300), 1.0)
    np.testing.assert_array_equal(small, large[37:137, 11:161])


def test_survives_pickling() -> None:
    region = Region(2000, 2000, 128, 128)
    copy = pickle.loads(pickle.dumps(make_slide()))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(
        copy.read_region(region, 1.0), make_slide().read_region(region, 1.0)
    )


@pytest.mark.parametrize("factor", [2, 4, 8, 16, 32])
def test_coarse_read_has_the_mean_color_of_the_fine_one(factor: int) -> None:
    slide, region = make_slide(), Region(768, 768, 2560, 2560)
    fine = slide.read_region(region, 1.0).astype(np.float64)
    coarse = slide.read_region(region, float(factor)).astype(np.float64)
    n = coarse.shape[0]
    averaged = fine.reshape(n, factor, n, factor, 3).mean(axis=(1, 3))
    assert np.abs((averaged - coarse).mean(axis=(0, 1))).max() < 3.0
    blocks = slice(0, n - n % 8)
    means = [
        image[blocks, blocks].reshape(n // 8, 8, n // 8, 8, 3).mean(axis=(1, 3))
        for image in (averaged, coarse)
    ]
    assert np.corrcoef(means[0].ravel(), means[1].ravel())[0, 1] > 0.9


def test_every_class_keeps_its_mean_color_in_coarse_reads() -> None:
    slide = make_slide()
    fine, coarse = (slide.read_region(whole(slide), mpp) for mpp in (1.0, 8.0))
    labels = [slide.truth_labels(whole(slide), mpp) for mpp in (1.0, 8.0)]
    for value in OSTEOSARCOMA.values:
        means = [
            img[lab == value].mean(axis=0) for img, lab in zip((fine, coarse), labels, strict=True)
        ]
        assert np.abs(means[0] - means[1]).max() < 8.0


def test_truth_does_not_depend_on_the_resolution() -> None:
    slide = make_slide()
    fine = slide.truth_labels(whole(slide), 0.5)
    coarse = slide.truth_labels(Region(0, 0, 4095, 4095), 2.5)
    assert coarse.shape == (819, 819)
    np.testing.assert_array_equal(coarse, fine[2:4095:5, 2:4095:5])
    assert set(np.unique(coarse)) == set(OSTEOSARCOMA.values)


@pytest.mark.parametrize("origin", [(0.0, 0.0), (-64.0, 32.0), (1000.0, 3900.0)])
def test_truth_map_equals_truth_labels(origin: tuple[float, float]) -> None:
    slide = make_slide()
    geometry = MapGeometry((300, 40), 8.0, 0.5, origin)
    np.testing.assert_array_equal(
        slide.truth_map(geometry), slide.truth_labels(geometry.region, geometry.cell_um)
    )


def test_background_is_bright_and_every_tissue_is_not() -> None:
    slide = make_slide()
    image, labels = slide.read_region(whole(slide), 2.0), slide.truth_labels(whole(slide), 2.0)
    darkest = image.min(axis=2)
    assert darkest[labels == BG].min() > 220
    for value in OSTEOSARCOMA.values[1:]:
        assert darkest[labels == value].mean() < 215


def test_outside_the_slide_is_white_background() -> None:
    slide = make_slide()
    away = Region(SIDE + 10, -500, 64, 64)
    assert (slide.read_region(away, 0.5) == 255).all()
    assert (slide.truth_labels(away, 0.5) == BG).all()
    edge = slide.read_region(Region(-10, -10, 20, 20), 0.5)
    assert (edge[:10] == 255).all()
    assert (edge[:, :10] == 255).all()
    assert (edge[10:, 10:] < 255).any()
    end = slide.read_region(Region(SIDE - 10, SIDE - 10, 20, 20), 0.5)
    assert (end[10:] == 255).all()
    assert (end[:10, :10] < 255).any()


@pytest.mark.parametrize(
    ("size", "mpp", "shape"),
    [((512, 300), 1.0, (256, 150)), ((5, 3), 40.0, (1, 1)), ((0, 0), 0.5, (1, 1))],
)
def test_shape_of_the_answer(size: tuple[float, float], mpp: float, shape: tuple[int, int]) -> None:
    region = Region(100, 100, *size)
    assert make_slide().read_region(region, mpp).shape == (*shape, 3)
    assert make_slide().truth_labels(region, mpp).shape == shape


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1), (7, 11)])
def test_tiny_and_thin_slides_can_be_read(shape: tuple[int, int]) -> None:
    slide = SyntheticSlide(*shape)
    assert slide.read_region(whole(slide), 0.5).shape == (*shape, 3)
    assert [tuple(a.shape) for a in slide.as_dask()] == [(*lv.shape, 3) for lv in slide.levels]


def test_thumbnail_of_a_huge_slide_needs_little_memory() -> None:
    slide = SyntheticSlide(100_000, 100_000, mpp=0.25, seed=3)
    tracemalloc.start()
    try:
        thumbnail = slide.read_region(whole(slide), 50.0)
        truth = slide.truth_map(MapGeometry.covering((100_000, 100_000), 200.0, 0.25))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert thumbnail.shape == (500, 500, 3)
    assert peak < 200e6
    means = [thumbnail[truth == v].mean(axis=0) for v in OSTEOSARCOMA.values]
    assert min(np.abs(a - b).max() for i, a in enumerate(means) for b in means[:i]) > 2


def test_lazy_levels_show_what_reads_give() -> None:
    slide = make_slide()
    arrays = slide.as_dask()
    assert [a.shape for a in arrays] == [(*lv.shape, 3) for lv in slide.levels]
    assert all(a.dtype == np.uint8 and max(a.chunksize) <= 512 for a in arrays)
    level = slide.levels[-1]
    np.testing.assert_array_equal(
        arrays[-1].compute(scheduler="threads"),
        slide.read_region(whole(slide), 0.5 * level.downsample),
    )
    np.testing.assert_array_equal(
        arrays[0][1900:2100, 500:700].compute(scheduler="sync"),
        slide.read_region(Region(1900, 500, 200, 200), 0.5),
    )


@pytest.mark.parametrize("pyramid", ["subifd", "pages"])
def test_tiff_holds_the_levels_and_the_pixel_size(tmp_path: Path, pyramid: str) -> None:
    tifffile = pytest.importorskip("tifffile")
    slide = SyntheticSlide(1500, 1300, mpp=0.5, seed=2)
    path = tmp_path / "slide.tiff"
    slide.write_tiff(path, pyramid=pyramid, quality=95)
    with tifffile.TiffFile(path) as tif:
        first = tif.pages[0]
        pages = [first, *(first.pages if pyramid == "subifd" else tif.pages[1:])]
        assert [p.shape for p in pages] == [(*lv.shape, 3) for lv in slide.levels]
        assert all(p.is_tiled for p in pages)
        assert [bool(p.is_reduced) for p in pages] == [False, True]
        for level, page in zip(slide.levels, pages, strict=True):
            count, unit = page.tags["XResolution"].value[0], page.tags["ResolutionUnit"].value
            per_cm = count / page.tags["XResolution"].value[1]
            assert unit == 3
            assert 10_000 / per_cm == pytest.approx(0.5 * level.downsample, rel=1e-6)
            drawn = slide.read_region(whole(slide), 0.5 * level.downsample).astype(np.float64)
            stored = page.asarray().astype(np.float64)
            assert np.abs(stored - drawn).mean() < 6.0
            assert np.abs((stored - drawn).mean(axis=(0, 1))).max() < 1.0


def test_tiff_with_fewer_levels(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    slide = SyntheticSlide(1200, 600, seed=2)
    slide.write_tiff(tmp_path / "one.tiff", levels=1)
    with tifffile.TiffFile(tmp_path / "one.tiff") as tif:
        assert len(tif.pages) == 1
        assert not tif.pages[0].subifds
    with pytest.raises(ConfigError, match="levels"):
        slide.write_tiff(tmp_path / "many.tiff", levels=9)
    assert not (tmp_path / "many.tiff").exists()


@pytest.mark.parametrize("mpp", [0.0, -1.0, float("nan"), float("inf")])
def test_refuses_impossible_pixel_sizes(mpp: float) -> None:
    with pytest.raises(ConfigError):
        SyntheticSlide(10, 10, mpp=mpp)


@pytest.mark.parametrize(("height", "width", "seed"), [(0, 5, 0), (5, -1, 0), (5, 5, -1)])
def test_refuses_impossible_slides(height: int, width: int, seed: int) -> None:
    with pytest.raises(ConfigError):
        SyntheticSlide(height, width, seed=seed)


def test_a_closed_slide_has_no_truth_to_read() -> None:
    slide = SyntheticSlide(64, 64)
    slide.close()
    with pytest.raises(SlideError):
        slide.truth_map(MapGeometry.covering((64, 64), 8.0, 0.5))


def test_a_texture_sheet_is_of_one_class_and_reproducible():
    one, same, other = (texture_sheet(3, (64, 96), mpp=1.0, seed=seed) for seed in (1, 1, 2))
    assert one.shape == (64, 96, 3)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    glass = texture_sheet(1, (64, 64), mpp=1.0, seed=1)
    assert glass.min() > 225
    assert one.mean() < glass.mean() - 20
