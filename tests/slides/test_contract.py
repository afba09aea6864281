"""What every slide promises, asked of every backend; `BACKENDS` says how each is made.

What a backend does with its own file format is tested in the file of that backend.
"""

from __future__ import annotations

import pickle
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import fsspec
import numpy as np
import pytest

from napari_fddm.core.errors import ConfigError, FddmError, MppError, SlideError
from napari_fddm.core.geometry import Mpp, Region
from napari_fddm.core.protocols import Slide
from napari_fddm.slides import ArraySlide, PyramidSlide, open_slide
from napari_fddm.slides.opening import slide_spec
from napari_fddm.slides.openslide import OpenSlideSlide
from napari_fddm.slides.pixel_server import PixelServer
from napari_fddm.slides.served import ServedSlide
from tests.support.backends import (
    ALL,
    BACKENDS,
    EXACT,
    MPP,
    REFUSALS,
    SMOOTH,
    Backend,
    OwnServer,
    omezarr,
)
from tests.support.slides import cut_off, write_svs, write_tiff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.slides import Rgb


@pytest.fixture(params=ALL)
def backend(request: pytest.FixtureRequest) -> Backend:
    return ALL[request.param]


@pytest.fixture
def slide(backend: Backend, tmp_path: Path) -> Iterator[Slide]:
    with backend.open(tmp_path, None) as slide:
        yield slide


def extent(slide: Slide) -> Region:
    height, width = slide.levels[0].shape
    return Region(0.0, 0.0, float(height), float(width))


def near_the_end(slide: Slide, size: float = 40.0) -> Region:
    """Return a region of so many pixels that ends 3 px before the slide does."""
    height, width = slide.levels[0].shape
    return Region(height - size - 3, width - size - 3, size, size)


def own_mpp(slide: Slide) -> float:
    assert slide.mpp.value is not None
    return slide.mpp.value


# What it is ------------------------------------------------------------------------


def test_it_is_a_slide_and_says_what_it_is(slide: Slide, backend: Backend) -> None:
    assert isinstance(slide, Slide)
    assert slide.backend == backend.name
    assert slide.name
    assert "/" not in slide.name
    assert all(isinstance(text, str) and text for text in slide.warnings)
    assert all(isinstance(v, str) for pair in slide.properties.items() for v in pair)


def test_a_good_slide_gives_no_warning(slide: Slide, backend: Backend) -> None:
    if backend not in BACKENDS.values():
        pytest.skip("scans may have their faults")
    assert not slide.warnings


def test_the_pixel_size_and_its_source(slide: Slide, backend: Backend) -> None:
    assert slide.mpp.source == backend.source
    assert slide.mpp.value == pytest.approx(backend.mpp, rel=1e-3)


def test_the_users_pixel_size_wins(backend: Backend, tmp_path: Path) -> None:
    with backend.open(tmp_path, 0.26) as slide:
        # A synthetic slide is drawn at the size that is asked for.
        source = "synthetic" if slide.backend == "synthetic" else "user"
        assert slide.mpp == Mpp(0.26, source)


def test_opened_again_it_is_the_same_slide(slide: Slide, backend: Backend, tmp_path: Path) -> None:
    with again_of(slide, backend, tmp_path) as again:
        assert len(slide.fingerprint) >= 32
        assert again.fingerprint == slide.fingerprint
        assert again.name == slide.name
        assert again.levels == slide.levels
        assert again.mpp == slide.mpp
        region, mpp = Region(20, 30, 64, 50), own_mpp(slide)
        np.testing.assert_array_equal(
            again.read_region(region, mpp), slide.read_region(region, mpp)
        )


def again_of(slide: Slide, backend: Backend, folder: Path) -> Slide:
    """Open by its spec what a spec can open, else build it once more."""
    if getattr(slide, "uri", ""):
        again = open_slide(slide_spec(slide))
        # A file may be opened with another reader than the one that `open_slide` prefers.
        return again if again.backend == slide.backend else OpenSlideSlide(folder / slide.name)
    with pytest.raises(SlideError, match="in memory") as caught:
        slide_spec(slide)
    assert caught.value.hint
    return backend.open(folder, None)


def test_levels_come_finest_first_and_their_downsamples_fit(slide: Slide) -> None:
    height, width = slide.levels[0].shape
    assert [level.index for level in slide.levels] == list(range(len(slide.levels)))
    assert slide.levels[0].downsample == 1.0
    for finer, coarser in zip(slide.levels[:-1], slide.levels[1:], strict=True):
        assert coarser.downsample > finer.downsample
        assert coarser.shape != finer.shape
        assert all(a <= b for a, b in zip(coarser.shape, finer.shape, strict=True))
    for level in slide.levels:
        assert min(level.shape) >= 1
        # Up to a pixel of the level more or less: writers round the size up or down.
        for pixels, whole in zip(level.shape, (height, width), strict=True):
            assert abs(whole / level.downsample - pixels) <= 1


def test_levels_hold_the_pixels_that_were_written(slide: Slide, backend: Backend) -> None:
    if backend.pixels is None:
        pytest.skip("these pixels are compressed with loss, drawn or a scanner's")
    assert [level.shape for level in slide.levels] == [a.shape[:2] for a in backend.pixels]
    for level, expected in zip(slide.levels, backend.pixels, strict=True):
        found = slide.read_region(extent(slide), own_mpp(slide) * level.downsample)
        np.testing.assert_array_equal(found, expected)


def test_an_unknown_associated_image_is_refused(slide: Slide) -> None:
    with pytest.raises(SlideError, match="holds no nonsense image") as caught:
        slide.read_associated("nonsense")
    assert caught.value.hint
    for name in slide.associated:
        image = slide.read_associated(name)
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[2] == 3


# Reading ---------------------------------------------------------------------------


def test_the_shape_is_the_regions_in_output_pixels(slide: Slide) -> None:
    for region in (
        Region(0, 0, 40, 30),
        Region(10.25, 7.75, 33.5, 60.1),
        Region(-5, -5, 9, 9),
        Region(3, 3, 0.2, 0.2),
        Region(3, 3, 0, 0),
    ):
        for downsample in (0.5, 1.0, 1.7, 2.0, 6.3, 200.0):
            found = slide.read_region(region, own_mpp(slide) * downsample)
            rows, cols = (max(1, round(n / downsample)) for n in (region.height, region.width))
            assert found.shape == (rows, cols, 3)
            assert found.dtype == np.uint8


def test_outside_the_slide_is_white(slide: Slide) -> None:
    height, width = slide.levels[0].shape
    for region in (
        Region(-100, 0, 50, 50),
        Region(0, -100, 50, 50),
        Region(height + 50, 0, 50, 50),
        Region(0, width + 50, 50, 50),
        Region(-1e6, -1e6, 50, 50),
    ):
        assert (slide.read_region(region, own_mpp(slide) * 1.3) == 255).all()


@pytest.mark.parametrize("downsample", [1, 2])
def test_over_the_edge_the_inside_is_as_ever_and_the_rest_white(
    slide: Slide, downsample: int
) -> None:
    mpp, size = own_mpp(slide) * downsample, 16 * downsample
    start = slide.read_region(Region(-size, -size, 2 * size, 2 * size), mpp)
    assert (start[:16] == 255).all()
    assert (start[:, :16] == 255).all()
    inside = slide.read_region(Region(0, 0, size, size), mpp)
    np.testing.assert_array_equal(start[16:, 16:], inside)
    height, width = (n - n % downsample for n in slide.levels[0].shape)
    region = Region(height - size, width - size, size, size)
    end = slide.read_region(Region(region.y, region.x, 3 * size, 3 * size), mpp)
    whole = slice(0, 16)
    np.testing.assert_array_equal(end[whole, whole], slide.read_region(region, mpp))
    assert (end[17:] == 255).all()
    assert (end[:, 17:] == 255).all()


@pytest.mark.parametrize("downsample", [1.0, 2.0, 3.0])
def test_a_part_read_alone_equals_the_crop_of_the_whole(slide: Slide, downsample: float) -> None:
    mpp = own_mpp(slide) * downsample
    whole = slide.read_region(Region(6, 12, 40 * downsample, 30 * downsample), mpp)
    part = Region(6 + 7 * downsample, 12 + 11 * downsample, 21 * downsample, 13 * downsample)
    np.testing.assert_array_equal(slide.read_region(part, mpp), whole[7:28, 11:24])


def test_the_same_region_is_the_same_twice_and_from_threads(slide: Slide) -> None:
    mpp = own_mpp(slide)
    places = [near_the_end(slide), *(Region(y, x, 50, 40) for y in (0, 37) for x in (5, 90))]
    reads = [(place, mpp * downsample) for place in places for downsample in (1, 2.6)]
    expected = [slide.read_region(*read) for read in reads]
    for read, pixels in zip(reads, expected, strict=True):
        np.testing.assert_array_equal(slide.read_region(*read), pixels)
    with ThreadPoolExecutor(6) as pool:
        found = pool.map(lambda read: slide.read_region(*read), reads * 4)
        for one, pixels in zip(found, expected * 4, strict=True):
            np.testing.assert_array_equal(one, pixels)


def test_answers_belong_to_the_caller(slide: Slide) -> None:
    region, mpp = Region(8, 8, 24, 24), own_mpp(slide)
    expected = slide.read_region(region, mpp).copy()
    for _ in range(2):
        found = slide.read_region(region, mpp)
        np.testing.assert_array_equal(found, expected)
        found[:] = 0
        if isinstance(slide, PyramidSlide):
            inner = slide.read_level(0, 8, 8, 24, 24)
            np.testing.assert_array_equal(inner, expected)
            inner[:] = 0


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_resolutions_are_refused(slide: Slide, bad: float) -> None:
    with pytest.raises(MppError) as caught:
        slide.read_region(Region(0, 0, 8, 8), bad)
    assert caught.value.hint
    if isinstance(slide, PyramidSlide):
        with pytest.raises(ConfigError) as refused:
            slide.read_scaled(Region(0, 0, 8, 8), bad)
        assert refused.value.hint


# For viewing -----------------------------------------------------------------------


def pixels_of(slide: Slide, level: int, window: tuple[int, int, int, int]) -> Rgb:
    """Return a window (y, x, h, w) of a level, read without dask."""
    if isinstance(slide, PyramidSlide):
        return slide.read_level(level, *window)
    factor = slide.levels[level].downsample
    return slide.read_region(Region(*(factor * n for n in window)), own_mpp(slide) * factor)


def test_lazy_levels_hold_what_reading_gives(slide: Slide) -> None:
    arrays = slide.as_dask()
    assert [a.shape for a in arrays] == [(*level.shape, 3) for level in slide.levels]
    for level, lazy in zip(slide.levels, arrays, strict=True):
        assert lazy.dtype == np.uint8
        assert lazy.chunksize[2] == 3
        rows, cols = level.shape
        y, x, height, width = rows // 3, cols // 2, min(60, rows // 2), min(50, cols // 3)
        found = lazy[y : y + height, x : x + width].compute()
        np.testing.assert_array_equal(found, pixels_of(slide, level.index, (y, x, height, width)))
        np.testing.assert_array_equal(
            lazy[y : y + height : 3, x : x + width : 2, 1].compute(), found[::3, ::2, 1]
        )


def test_levels_of_two_slides_are_not_taken_for_each_other(
    backend: Backend, tmp_path: Path
) -> None:
    """Dask takes arrays of one name for the same: a closed slide must not answer for another."""
    with backend.open(tmp_path, None) as one:
        first = one.as_dask()[-1]
    with backend.open(tmp_path, None) as two:
        again = two.as_dask()[-1]
        height, width = (min(n, 200) for n in again.shape[:2])
        assert again[:height, :width].compute().shape == (height, width, 3)
        with pytest.raises(SlideError, match="closed"):
            first[:8, :8].compute()


# The end ---------------------------------------------------------------------------


def test_after_closing_reads_say_so(backend: Backend, tmp_path: Path) -> None:
    slide = backend.open(tmp_path, None)
    lazy = slide.as_dask()[0]
    with slide as same:
        assert same is slide
    slide.close()  # twice does no harm
    mpp = own_mpp(slide)  # what it knows, it still knows
    reads: list[Callable[[], Any]] = [
        lambda: slide.read_region(Region(0, 0, 8, 8), mpp),
        lambda: slide.read_region(Region(-100, -100, 8, 8), mpp),
        lambda: lazy[:8, :8].compute(),
    ]
    if isinstance(slide, PyramidSlide):
        reads.append(lambda: slide.read_level(0, 0, 0, 8, 8))
        reads.append(lambda: slide.read_scaled(Region(0, 0, 8, 8), 2.0))
    for read in reads:
        with pytest.raises(SlideError, match="closed") as caught:
            read()
        assert caught.value.hint
        assert slide.name in str(caught.value)


def test_reading_while_another_thread_closes_is_an_error_or_right(
    backend: Backend, tmp_path: Path
) -> None:
    slide = backend.open(tmp_path, None)
    region, mpp = Region(20, 20, 60, 60), own_mpp(slide)
    expected = slide.read_region(region, mpp)

    def read(_: int) -> bool:
        try:
            np.testing.assert_array_equal(slide.read_region(region, mpp), expected)
        except REFUSALS:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        results = pool.map(read, range(40))
        slide.close()
        assert set(results) <= {True, False}
    assert not read(0)


# Wrong places and damage -----------------------------------------------------------


WRONG_PLACES: dict[str, Callable[[Path], Any]] = {
    "tiff": lambda f: open_slide(f / "gone.tif"),
    "openslide": lambda f: OpenSlideSlide(f / "gone.svs"),
    "openslide-series": lambda f: open_slide(f),
    "omezarr": lambda f: open_slide(f / "gone.ome.zarr"),
    "remote": lambda _: open_slide("memory://nowhere/gone.ome.zarr"),
    "remote-protocol": lambda _: open_slide("nope://nowhere/gone.ome.zarr"),
    "array": lambda _: ArraySlide(None, name="gone"),
    "served": lambda _: _served_by_nobody(),
    "synthetic": lambda _: open_slide("synthetic:gone"),
}


def _served_by_nobody() -> None:
    server = PixelServer(ArraySlide(EXACT))
    source = server.source(MPP, "layer")
    server.close()
    ServedSlide(source)


@pytest.mark.parametrize("name", WRONG_PLACES)
def test_where_nothing_is_opening_says_so_and_what_to_do(name: str, tmp_path: Path) -> None:
    with pytest.raises(REFUSALS) as caught:
        WRONG_PLACES[name](tmp_path)
    check_words(caught.value)


def cut_zarr(folder: Path) -> None:
    for chunk in (folder / "a.ome.zarr" / "0" / "c").rglob("*"):
        if chunk.is_file():
            cut_off(chunk, 0.5)


class Failing:
    """An array that can be read 64 times: to be opened, but no more."""

    shape, dtype = EXACT[0].shape, EXACT[0].dtype

    def __init__(self) -> None:
        self.reads = 0

    def __getitem__(self, key: Any) -> Any:
        self.reads += 1
        if self.reads > 64:
            raise ValueError("this block is damaged")
        return EXACT[0][key]


def damaged_tiff(folder: Path) -> Slide:
    path = write_tiff(folder / "a.tif", EXACT, mpp=MPP)
    return open_slide(cut_off(path, 0.5))


def damaged_svs(folder: Path) -> Slide:
    return open_slide(cut_off(write_svs(folder / "a.svs", SMOOTH, mpp=MPP), 0.3))


def damaged_openslide(folder: Path) -> Slide:
    path = write_tiff(folder / "a.tif", SMOOTH, mpp=MPP, compression="jpeg")
    return OpenSlideSlide(cut_off(path, 0.5))


def damaged_omezarr(folder: Path) -> Slide:
    omezarr(folder, None).close()
    cut_zarr(folder)
    return open_slide(folder / "a.ome.zarr")


def damaged_remote(folder: Path) -> Slide:
    omezarr(folder, None).close()
    cut_zarr(folder)
    url = f"memory://{uuid.uuid4()}/a.ome.zarr"
    fsspec.filesystem("memory").put(str(folder / "a.ome.zarr"), url, recursive=True)
    return open_slide(url)


def damaged_array(_: Path) -> Slide:
    return ArraySlide(Failing(), mpp=MPP)


def damaged_served(_: Path) -> Slide:
    return OwnServer(ArraySlide(Failing(), mpp=MPP), None)


DAMAGED = {
    "tiff": damaged_tiff,
    "svs": damaged_svs,
    "openslide": damaged_openslide,
    "omezarr": damaged_omezarr,
    "remote": damaged_remote,
    "array": damaged_array,
    "served": damaged_served,
}


@pytest.mark.parametrize("name", DAMAGED)
def test_missing_bytes_are_an_error_and_never_pixels(name: str, tmp_path: Path) -> None:
    """Either opening or reading says so; no backend makes pixels up."""
    with pytest.raises(SlideError) as caught, DAMAGED[name](tmp_path) as slide:
        slide.read_region(extent(slide), own_mpp(slide))
    check_words(caught.value)


def check_words(error: FddmError) -> None:
    assert error.hint
    assert "\n" not in str(error)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  # the engine sends them to the window
    assert (type(copy), str(copy)) == (type(error), str(error))
