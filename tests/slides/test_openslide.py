from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_fddm.core.errors import SlideError
from napari_fddm.core.geometry import Mpp, Region
from napari_fddm.slides import openslide as backend
from napari_fddm.slides.openslide import OpenSlideSlide, detect_vendor
from napari_fddm.slides.tiff import TiffSlide
from tests.support.slides import (
    binned,
    forget_tile,
    noise,
    overwrite_tile,
    stained,
    write_svs,
    write_tiff,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

IMAGE = noise(160, 200)
SMOOTH = stained(300, 260)


class Canvas:
    """Stands in for OpenSlide: RGBA levels on a canvas, with bounds if asked for."""

    def __init__(self, levels: list[np.ndarray], properties: Mapping[str, str]) -> None:
        self._levels = levels
        self.properties = properties
        self.dimensions = levels[0].shape[1::-1]
        self.level_dimensions = tuple(a.shape[1::-1] for a in levels)
        self.level_downsamples = tuple(levels[0].shape[0] / a.shape[0] for a in levels)
        self.pictures: dict[str, np.ndarray] = {}
        self.reads: list[tuple[tuple[int, int], int, tuple[int, int]]] = []

    @property
    def associated(self) -> tuple[str, ...]:
        return tuple(self.pictures)

    def read_associated(self, name: str) -> np.ndarray:
        return self.pictures[name]

    def read_region(
        self, location_xy: tuple[int, int], level: int, size_xy: tuple[int, int]
    ) -> np.ndarray:
        self.reads.append((location_xy, level, size_xy))
        scale = self.level_downsamples[level]
        x, y = (round(n / scale) for n in location_xy)
        width, height = size_xy
        return self._levels[level][y : y + height, x : x + width]


def open_canvas(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, canvas: Canvas) -> OpenSlideSlide:
    path = tmp_path / "scan.mrxs"
    path.write_bytes(b"scan")
    monkeypatch.setattr(backend, "_open", lambda _: canvas)
    return OpenSlideSlide(path)


def rgba(image: np.ndarray, alpha: int = 255) -> np.ndarray:
    return np.dstack([image, np.full(image.shape[:2], alpha, np.uint8)])


BOUNDS = {
    "openslide.bounds-x": "40",
    "openslide.bounds-y": "24",
    "openslide.bounds-width": "100",
    "openslide.bounds-height": "80",
    "openslide.mpp-x": "0.25",
    "openslide.mpp-y": "0.25",
    "openslide.vendor": "mirax",
}


def test_bounds_become_the_slide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    canvas = Canvas([rgba(IMAGE), rgba(binned(IMAGE, 2)), rgba(binned(IMAGE, 4))], BOUNDS)
    slide = open_canvas(monkeypatch, tmp_path, canvas)
    scan = IMAGE[24:104, 40:140]
    assert [k.shape for k in slide.levels] == [(80, 100), (40, 50), (20, 25)]
    assert slide.mpp == Mpp(0.25, "vendor")
    np.testing.assert_array_equal(slide.read_region(slide.extent, 0.25), scan)
    np.testing.assert_array_equal(
        slide.read_region(Region(10, 20, 16, 8), 0.25), scan[10:26, 20:28]
    )
    np.testing.assert_array_equal(slide.read_region(slide.extent, 1.0), binned(scan, 4))
    assert canvas.reads[-1] == ((40, 24), 2, (25, 20))


def test_outside_the_bounds_is_white_even_if_the_canvas_has_pixels(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slide = open_canvas(monkeypatch, tmp_path, Canvas([rgba(IMAGE)], BOUNDS))
    found = slide.read_region(Region(-10, -10, 20, 20), 0.25)
    assert (found[:10] == 255).all()
    assert (found[:, :10] == 255).all()
    np.testing.assert_array_equal(found[10:, 10:], IMAGE[24:34, 40:50])


def test_transparent_is_white(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    half = rgba(np.zeros_like(IMAGE))
    half[:80, :, 3] = 0
    half[80:, :, 3] = 153
    slide = open_canvas(monkeypatch, tmp_path, Canvas([half], {}))
    found = slide.read_level(0, 0, 0, 160, 200)
    assert (found[:80] == 255).all()
    assert (found[80:] == 102).all()


@pytest.mark.parametrize(
    ("properties", "mpp"),
    [
        ({"openslide.objective-power": "20"}, Mpp(0.5, "objective-power")),
        ({"openslide.mpp-x": "0.5", "openslide.mpp-y": "0.5"}, Mpp(0.5, "vendor")),
        ({"openslide.mpp-x": "0.5", "openslide.mpp-y": "0.5", "openslide.vendor": "generic-tiff"},
         Mpp(0.5, "tiff-resolution")),
        ({"openslide.mpp-x": "0.5", "openslide.mpp-y": "0.25"}, Mpp(None, "unknown")),
        ({}, Mpp(None, "unknown")),
    ],
)  # fmt: skip
def test_pixel_size(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, properties: dict[str, str], mpp: Mpp
) -> None:
    slide = open_canvas(monkeypatch, tmp_path, Canvas([rgba(IMAGE)], properties))
    assert slide.mpp == mpp


def test_series_are_known_by_their_own_hash(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dicom = {"openslide.vendor": "dicom", "openslide.quickhash-1": "ab" * 32}
    slide = open_canvas(monkeypatch, tmp_path, Canvas([rgba(IMAGE)], dicom))
    assert slide.fingerprint == "ab" * 32
    single = open_canvas(monkeypatch, tmp_path, Canvas([rgba(IMAGE)], dicom | BOUNDS))
    assert single.fingerprint == "ab" * 32  # mirax: an index and a folder
    plain = {**dicom, "openslide.vendor": "leica"}
    assert open_canvas(monkeypatch, tmp_path, Canvas([rgba(IMAGE)], plain)).fingerprint != "ab" * 32


def test_a_failed_read_does_not_spoil_the_next(tmp_path: Path) -> None:
    """A handle of the library that failed once fails ever after, so another one reads on."""
    path = write_svs(tmp_path / "a.svs", [stained(160, 200)])
    overwrite_tile(path, 0, bytes(2000))
    with OpenSlideSlide(path) as slide:
        with pytest.raises(SlideError, match=r"a\.svs.*level 0, row 3, column 5"):
            slide.read_level(0, 3, 5, 8, 8)
        found = slide.read_level(0, 100, 100, 20, 20).astype(int)
    assert np.abs(found - stained(160, 200)[100:120, 100:120]).mean() < 4


def test_agrees_with_the_tiff_reader(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [IMAGE, binned(IMAGE, 2)], mpp=0.5, compression="lzw")
    with OpenSlideSlide(path) as one, TiffSlide(path) as other:
        assert one.levels == other.levels
        assert one.mpp.source == other.mpp.source
        assert one.mpp.value == pytest.approx(other.mpp.value)
        assert one.fingerprint == other.fingerprint
        for mpp in (0.5, 1.0, 1.7):
            region = Region(-5, 30, 100, 120)
            np.testing.assert_array_equal(
                one.read_region(region, mpp), other.read_region(region, mpp)
            )


def test_aperio_through_openslide(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "a.svs", [stained(200, 200)], mpp=0.4)
    assert detect_vendor(path) == "aperio"
    with OpenSlideSlide(path) as slide:
        assert slide.mpp == Mpp(0.4, "vendor")


def test_tiles_never_stored_are_said(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "a.svs", [SMOOTH, binned(SMOOTH, 4)])
    with OpenSlideSlide(path) as slide:
        assert slide.stored_mask((5, 5)) is None
        assert not any("stored" in w for w in slide.warnings)
    forget_tile(path, 1, tags=("TileByteCounts",))
    with OpenSlideSlide(path) as slide:
        assert any(w.startswith("1 of 25 tiles of the finest level") for w in slide.warnings)
        stored = slide.stored_mask((5, 5))
        assert stored is not None
        assert not stored[0, 1]
        assert stored[2:].all()
        assert slide.leaves_out_glass


def test_a_level_with_gaps_is_not_used(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "a.svs", [SMOOTH, binned(SMOOTH, 2), binned(SMOOTH, 4)])
    forget_tile(path, 3, page=2)
    with OpenSlideSlide(path) as slide:
        assert [level.shape for level in slide.levels] == [(300, 260), (75, 65)]
        assert any("level 1 (130×150 px) is incomplete" in w for w in slide.warnings)
        gap = slide.read_level(1, 0, 0, 75, 65).astype(float) - binned(SMOOTH, 4)
        assert np.abs(gap).mean() < 3


def test_a_file_without_any_stored_tile_is_refused(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "died.svs", [SMOOTH[:64, :128]])
    forget_tile(path, 0)
    forget_tile(path, 1)
    with pytest.raises(SlideError, match=r"died\.svs is incomplete: none of its 2 tiles"):
        OpenSlideSlide(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    os.mkfifo(path)
    with pytest.raises(SlideError, match="a pipe or device"):
        OpenSlideSlide(path)


def test_damage_in_a_real_file_names_it(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "bad.tif", [stained(200, 200)], compression="jpeg")
    overwrite_tile(path, 0, bytes(10_000))
    with OpenSlideSlide(path) as slide:
        with pytest.raises(SlideError, match=r"bad\.tif"):
            slide.read_level(0, 0, 0, 20, 20)
        assert slide.read_level(0, 150, 150, 20, 20).shape == (20, 20, 3)


def test_unreadable_file_is_one_line_without_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "a.ndpi"
    path.write_bytes(b"nothing")
    with pytest.raises(SlideError, match=r"^a\.ndpi") as caught:
        OpenSlideSlide(path)
    assert str(tmp_path) not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_threads_and_closing(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [IMAGE], compression="lzw")
    slide = OpenSlideSlide(path)

    def read(place: int) -> bool:
        try:
            found = slide.read_level(0, place, place, 40, 40)
        except SlideError:
            return False
        np.testing.assert_array_equal(found, IMAGE[place : place + 40, place : place + 40])
        return True

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(read, range(100)))
        results = pool.map(read, range(100))
        slide.close()
        list(results)
    with pytest.raises(SlideError, match="closed"):
        slide.read_level(0, 0, 0, 8, 8)


def test_strips_are_viewed_in_square_chunks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    image = noise(1100, 1300)
    strips = {"openslide.level[0].tile-height": "8", "openslide.level[0].tile-width": "1300"}
    slide = open_canvas(monkeypatch, tmp_path, Canvas([rgba(image)], strips))
    level = slide.as_dask()[0]
    assert level.chunksize == (512, 512, 3)
    np.testing.assert_array_equal(level[500:530, 510:520].compute(), image[500:530, 510:520])


REGIONS = {
    f"openslide.region[{number}].{key}": str(value)
    for number, box in enumerate([(0, 0, 60, 80), (120, 40, 80, 120)])
    for key, value in zip(("x", "y", "width", "height"), box, strict=True)
}


def test_regions_are_analyzed_together_and_one_by_one_when_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    canvas = Canvas([rgba(IMAGE), rgba(binned(IMAGE, 2))], REGIONS | {"openslide.mpp-x": "0.5"})
    whole = open_canvas(monkeypatch, tmp_path, canvas)
    assert whole.levels[0].shape == IMAGE.shape[:2]
    assert any("2 scanned regions are analyzed together" in text for text in whole.warnings)
    assert [image.shape for image in whole.images] == [(160, 200), (80, 60), (120, 80)]
    second = OpenSlideSlide(tmp_path / "scan.mrxs", series=2)
    assert second.fingerprint != whole.fingerprint
    assert [level.shape for level in second.levels] == [(120, 80), (60, 40)]
    np.testing.assert_array_equal(second.read_region(second.extent, 0.5), IMAGE[40:160, 120:200])
    with pytest.raises(SlideError, match="no series 3"):
        OpenSlideSlide(tmp_path / "scan.mrxs", series=3)


def test_a_scan_of_one_region_has_no_series(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert open_canvas(monkeypatch, tmp_path, Canvas([rgba(IMAGE)], {})).images == ()
    with pytest.raises(SlideError, match="no series 1"):
        OpenSlideSlide(tmp_path / "scan.mrxs", series=1)
