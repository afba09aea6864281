from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_fddm.core.errors import MppError, SlideError
from napari_fddm.core.geometry import Mpp
from napari_fddm.slides.tiff import TiffSlide, TileCache
from napari_fddm.slides.tiff_level import onto_white
from tests.support.slides import (
    binned,
    cut_off,
    forget_tile,
    noise,
    overwrite_tile,
    stained,
    write_svs,
    write_tiff,
)

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = noise(150, 200)
BOTH = ("TileOffsets", "TileByteCounts")
SMOOTH = stained(300, 260)


def whole(slide: TiffSlide) -> Any:
    return slide.read_level(0, 0, 0, *slide.levels[0].shape)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": None},
        {"compression": "lzw"},
        {"compression": "zlib", "predictor": True},
        {"compression": "zstd"},
        {"bigtiff": True},
        {"byteorder": ">"},
        {"planarconfig": "separate"},
        {"tile": None},
        {"tile": None, "rowsperstrip": 7},
        {"tile": None, "rowsperstrip": 7, "compression": None, "planarconfig": "separate"},
        {"ome": True, "subifds": True},
    ],
    ids=lambda o: "-".join(f"{k}={v}" for k, v in o.items()) or "plain",
)
def test_lossless_files_come_back_exactly(tmp_path: Path, options: dict[str, Any]) -> None:
    image = IMAGE
    if options.get("planarconfig"):
        image = np.ascontiguousarray(IMAGE.transpose(2, 0, 1))
    path = write_tiff(tmp_path / "a.tif", [image], **options)
    with TiffSlide(path) as slide:
        assert slide.levels[0].shape == IMAGE.shape[:2]
        np.testing.assert_array_equal(whole(slide), IMAGE)
        np.testing.assert_array_equal(slide.read_level(0, 60, 50, 30, 100), IMAGE[60:90, 50:150])


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000", "webp"])
@pytest.mark.parametrize("tile", [64, None])
def test_lossy_files_come_back_nearly(tmp_path: Path, compression: str, tile: int | None) -> None:
    path = write_tiff(tmp_path / "a.tif", [SMOOTH], compression=compression, tile=tile)
    with TiffSlide(path) as slide:
        assert np.abs(whole(slide).astype(int) - SMOOTH).mean() < 3


def test_svs_levels_without_the_thumbnail(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "a.svs", [SMOOTH, binned(SMOOTH, 4)], mpp=0.2527)
    with TiffSlide(path) as slide:
        assert [k.shape for k in slide.levels] == [(300, 260), (75, 65)]
        assert [k.downsample for k in slide.levels] == [1.0, 4.0]
        assert slide.mpp == Mpp(0.2527, "vendor")
        found = slide.read_region(slide.extent, 0.2527 * 4).astype(int)
        assert np.abs(found - binned(SMOOTH, 4)).mean() < 3


@pytest.mark.parametrize(
    "options", [{}, {"subifds": True}, {"subifds": True, "ome": True}], ids=["pages", "sub", "ome"]
)
def test_pyramids(tmp_path: Path, options: dict[str, Any]) -> None:
    levels = [IMAGE, binned(IMAGE, 2), binned(IMAGE, 4)]
    path = write_tiff(tmp_path / "a.ome.tif", levels, mpp=0.5, **options)
    with TiffSlide(path) as slide:
        assert [k.downsample for k in slide.levels] == [1, 2, 4]
        for number, level in enumerate(levels):
            found = slide.read_level(number, 0, 0, *level.shape[:2])
            np.testing.assert_array_equal(found, level)


def test_ome_pixel_size_and_resolution_tags(tmp_path: Path) -> None:
    sizes = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25, "PhysicalSizeXUnit": "µm"}
    ome = write_tiff(tmp_path / "a.ome.tif", [IMAGE], ome=True, metadata={"axes": "YXS", **sizes})
    plain = write_tiff(tmp_path / "b.tif", [IMAGE], mpp=0.5)
    silent = write_tiff(tmp_path / "c.tif", [IMAGE])
    with TiffSlide(ome) as a, TiffSlide(plain) as b, TiffSlide(silent) as c:
        assert a.mpp == Mpp(0.25, "ome")
        assert b.mpp.source == "tiff-resolution"
        assert b.mpp.value == pytest.approx(0.5)
        assert c.mpp == Mpp(None, "unknown")
        assert any("pixel size" in w for w in c.warnings)
    with TiffSlide(plain, mpp=0.25) as b:
        assert b.mpp == Mpp(0.25, "user")
        assert any("by hand" in w for w in b.warnings)
    with pytest.raises(MppError):
        TiffSlide(plain, mpp=80.0)


@pytest.mark.parametrize(("unit", "per_unit"), [("micron", 2), ("mm", 2000), ("cm", 20_000)])
def test_the_units_of_imagej_are_believed(tmp_path: Path, unit: str, per_unit: float) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, IMAGE, imagej=True, resolution=(per_unit, per_unit),
                     metadata={"unit": unit})  # fmt: skip
    with TiffSlide(path) as slide:
        assert slide.mpp == Mpp(0.5, "tiff-resolution")


def test_an_unknown_unit_of_imagej_is_quoted(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, IMAGE, imagej=True, resolution=(2, 2), metadata={"unit": "furlong"})
    with TiffSlide(path) as slide:
        assert slide.mpp == Mpp(None, "unknown")
        assert any("'furlong'" in w for w in slide.warnings)


def test_a_missing_resolution_unit_is_inch(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [IMAGE], mpp=0.5)
    with tifffile.TiffFile(path) as file:
        code, per_cm = file.pages[0].tags[296].offset, file.pages[0].tags[282].value
    data = bytearray(path.read_bytes())
    data[code : code + 2] = (65_000).to_bytes(2, "little")
    path.write_bytes(data)
    with TiffSlide(path) as slide:
        assert slide.mpp.value == pytest.approx(25_400 / (per_cm[0] / per_cm[1]))
        assert slide.mpp.source == "tiff-resolution, inch by default of TIFF 6.0"


def test_gray_becomes_rgb(tmp_path: Path) -> None:
    gray = IMAGE[..., 0]
    black = write_tiff(tmp_path / "a.tif", [gray], photometric="minisblack")
    white = write_tiff(tmp_path / "b.tif", [gray], photometric="miniswhite")
    with TiffSlide(black) as a, TiffSlide(white) as b:
        np.testing.assert_array_equal(whole(a), np.repeat(gray[..., None], 3, axis=2))
        np.testing.assert_array_equal(whole(b), 255 - np.repeat(gray[..., None], 3, axis=2))


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha", "unspecified"])
def test_alpha_goes_onto_white(tmp_path: Path, kind: str) -> None:
    rgba = np.dstack([IMAGE // 2, np.full(IMAGE.shape[:2], 200, np.uint8)])
    rgba[:75, :, 3] = 0
    if kind == "assocalpha":
        rgba[:75, :, :3] = 0
    path = write_tiff(tmp_path / "a.tif", [rgba], extrasamples=[kind])
    with TiffSlide(path) as slide:
        found = whole(slide)
    if kind == "unspecified":
        np.testing.assert_array_equal(found, rgba[..., :3])
        return
    assert (found[:75] == 255).all()
    share = 200 / 255 if kind == "unassalpha" else 1.0
    expected = rgba[75:, :, :3] * share + 55
    assert np.abs(found[75:] - expected).max() <= 0.51


def test_three_channel_pages_are_red_green_blue(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    planes = np.ascontiguousarray(IMAGE.transpose(2, 0, 1))
    tifffile.imwrite(path, planes, ome=True, metadata={"axes": "CYX"}, photometric="minisblack",
                     tile=(64, 64))  # fmt: skip
    with TiffSlide(path) as slide:
        np.testing.assert_array_equal(whole(slide), IMAGE)
        assert any("three separate planes" in w for w in slide.warnings)


@pytest.mark.parametrize(
    ("data", "options", "reason"),
    [
        (IMAGE.astype(np.uint16), {"photometric": "rgb"}, "16-bit"),
        (IMAGE[..., 0].astype(np.float32), {"photometric": "minisblack"}, "32-bit"),
        (IMAGE[..., 0] > 128, {"photometric": "minisblack"}, "1-bit"),
        (np.zeros((2, 64, 64), np.uint8), {"photometric": "minisblack", "ome": True,
         "metadata": {"axes": "CYX"}}, "2 channels"),
        (np.zeros((5, 64, 64, 3), np.uint8), {"photometric": "rgb", "ome": True,
         "metadata": {"axes": "ZYXS"}}, "5 focus planes"),
        (IMAGE[..., 0], {"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)},
         "palette"),
        (np.zeros((64, 64, 4), np.uint8), {"photometric": "separated"}, "separated"),
    ],
)  # fmt: skip
def test_other_images_are_refused_with_the_reason(
    tmp_path: Path, data: Any, options: dict[str, Any], reason: str
) -> None:
    path = tmp_path / "odd.tif"
    tifffile.imwrite(path, data, **options)
    with pytest.raises(SlideError, match=reason) as caught:
        TiffSlide(path)
    assert "odd.tif" in str(caught.value)
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_large_image_without_tiles_is_refused_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tiff(tmp_path / "flat.tif", [IMAGE], tile=None)
    monkeypatch.setattr("napari_fddm.slides.tiff_file.MAX_UNTILED_BYTES", IMAGE.nbytes - 1)
    with pytest.raises(SlideError, match="no tiles") as caught:
        TiffSlide(path)
    assert "--pyramid" in caught.value.hint


def test_strips_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tiff(tmp_path / "flat.tif", [IMAGE], tile=None, rowsperstrip=8)
    monkeypatch.setattr("napari_fddm.slides.tiff.CACHE_BYTES", 100)
    with TiffSlide(path) as slide:
        whole(slide)
        slide._read_bytes = None  # type: ignore[assignment, method-assign]
        np.testing.assert_array_equal(whole(slide), IMAGE)


def test_strips_are_viewed_in_square_chunks(tmp_path: Path) -> None:
    image = noise(1200, 700)
    path = write_tiff(tmp_path / "flat.tif", [image], tile=None, rowsperstrip=1)
    with TiffSlide(path) as slide:
        lazy = slide.as_dask()[0]
        assert lazy.chunks == ((512, 512, 176), (512, 188), (3,))
        np.testing.assert_array_equal(np.asarray(lazy), image)


def test_the_largest_image_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(IMAGE[:40, :30], photometric="rgb", tile=(16, 16))
        writer.write(IMAGE, photometric="rgb", tile=(64, 64))
    with TiffSlide(path) as slide:
        np.testing.assert_array_equal(whole(slide), IMAGE)
        assert any("largest" in w for w in slide.warnings)


# Damage -----------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000", "zlib", "lzw", "webp"])
def test_damaged_tile_is_an_error_that_names_it(tmp_path: Path, compression: str) -> None:
    path = write_tiff(tmp_path / "bad.tif", [SMOOTH], compression=compression)
    overwrite_tile(path, 7)  # row 1, column 2 of 5 × 5
    with TiffSlide(path) as slide:
        assert slide.read_level(0, 0, 0, 64, 260).shape == (64, 260, 3)
        with pytest.raises(SlideError, match=r"row 1, column 2.*bad\.tif") as caught:
            whole(slide)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000", "zlib", None])
def test_file_cut_off_warns_at_once_and_fails_where_tiles_are_missing(
    tmp_path: Path, compression: str | None
) -> None:
    path = write_tiff(tmp_path / "cut.tif", [SMOOTH], compression=compression)
    cut_off(path, 0.6)
    with TiffSlide(path) as slide:
        assert any("truncated" in w and "of 25 tiles" in w for w in slide.warnings)
        assert slide.read_level(0, 0, 0, 64, 64).shape == (64, 64, 3)
        with pytest.raises(SlideError, match=r"missing"):
            whole(slide)


def test_file_cut_off_before_its_directory_cannot_be_opened(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "cut.svs", [SMOOTH])
    path.write_bytes(path.read_bytes()[:8] + b"\x00" * 100)
    with pytest.raises(SlideError, match=r"cut\.svs"):
        TiffSlide(path)


@pytest.mark.parametrize(
    "tags", [BOTH, BOTH[:1], BOTH[1:]], ids=["nothing", "no place", "no bytes"]
)
def test_tiles_never_stored_are_white_and_reported(tmp_path: Path, tags: tuple[str, ...]) -> None:
    path = write_tiff(tmp_path / "sparse.tif", [SMOOTH], compression="jpeg")
    forget_tile(path, 1, tags=tags)
    with TiffSlide(path) as slide:
        (note,) = (w for w in slide.warnings if "never stored" in w)
        assert note.startswith("1 of 25 tiles of the finest level were never stored")
        assert (slide.read_level(0, 0, 64, 64, 64) == 255).all()
        assert slide.read_level(0, 0, 0, 64, 64).min() < 250
        stored = slide.stored_mask((5, 5))
        assert stored is not None
        assert not stored[0, 1]
        assert stored[2:].all()
        assert not slide.leaves_out_glass


def test_where_pixels_are_stored(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [noise(256, 256)])
    with TiffSlide(path) as slide:
        assert slide.stored_mask((8, 8)) is None
    for index in (0, 1, 5):
        forget_tile(path, index)
    with TiffSlide(path) as slide:
        found = slide.stored_mask((8, 8))
        coarse = slide.stored_mask((1, 2))
    expected = np.ones((4, 4), bool)
    expected[0, :2] = expected[1, 1] = False
    assert found is not None
    np.testing.assert_array_equal(found, expected.repeat(2, 0).repeat(2, 1))
    assert coarse is not None
    assert coarse.tolist() == [[False, True]]


def test_a_file_without_any_stored_tile_is_refused(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "died.tif", [SMOOTH[:64, :128]], compression="jpeg")
    forget_tile(path, 0)
    forget_tile(path, 1)
    with pytest.raises(SlideError, match=r"died\.tif is incomplete: none of its 2 tiles"):
        TiffSlide(path)


def test_a_level_with_gaps_is_not_used(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [SMOOTH, binned(SMOOTH, 2), binned(SMOOTH, 4)])
    forget_tile(path, 3, page=1)
    with TiffSlide(path) as slide:
        assert [level.shape for level in slide.levels] == [(300, 260), (75, 65)]
        assert any("level 1 (130×150 px) is incomplete" in w for w in slide.warnings)
        assert slide.read_scaled(slide.extent, 2.0).min() < 200


@pytest.mark.parametrize(
    ("tag", "value", "reason"),
    [
        ("TileByteCounts", 2**31, "of its bytes are missing"),
        ("TileOffsets", 2**31, "of its bytes are missing"),
    ],
)
def test_places_that_cannot_be_are_errors_of_their_tile(
    tmp_path: Path, tag: str, value: int, reason: str
) -> None:
    path = write_tiff(tmp_path / "a.tif", [IMAGE])
    with tifffile.TiffFile(path, mode="r+b") as file:
        values = list(file.pages[0].tags[tag].value)
        values[0] = value
        file.pages[0].tags[tag].overwrite(values)
    with TiffSlide(path) as slide:
        with pytest.raises(SlideError, match=f"row 0, column 0.*{reason}"):
            slide.read_level(0, 0, 0, 8, 8)
        np.testing.assert_array_equal(slide.read_level(0, 0, 64, 64, 64), IMAGE[:64, 64:128])


@pytest.mark.parametrize(("tile", "shift"), [(0, -40), (1, -40), (1, 64)])
def test_tiles_that_overlap_are_said(tmp_path: Path, tile: int, shift: int) -> None:
    path = write_tiff(tmp_path / "a.tif", [IMAGE], compression=None)
    with TiffSlide(path) as slide:
        assert not any("overlap" in w for w in slide.warnings)
    with tifffile.TiffFile(path, mode="r+b") as file:
        values = list(file.pages[0].tags["TileOffsets"].value)
        values[tile] += shift
        file.pages[0].tags["TileOffsets"].overwrite(values)
    with TiffSlide(path) as slide:
        assert any("overlap" in w for w in slide.warnings)


def test_negative_counts_are_errors_of_their_tile(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [IMAGE])
    with tifffile.TiffFile(path) as file:
        place = file.pages[0].tags["TileByteCounts"]
        where, count = place.valueoffset, place.count
        kind = place.offset + 2
        width = 2 if int(place.dtype) == 3 else 4
    data = bytearray(path.read_bytes())
    data[kind] = {2: 8, 4: 9}[width]  # SSHORT, SLONG
    data[where : where + width * count] = (2 ** (8 * width) - 9).to_bytes(width, "little") * count
    path.write_bytes(data)
    with TiffSlide(path) as slide, pytest.raises(SlideError, match="row 0, column 0"):
        slide.read_level(0, 0, 0, 8, 8)


# Colors ------------------------------------------------------------------------------


def encoded_tiles(image: Any, encode: Any, side: int = 64) -> Any:
    """Yield the encoded tiles of an image, white beyond its edges."""
    for y in range(0, image.shape[0], side):
        for x in range(0, image.shape[1], side):
            tile = np.full((side, side, 3), 255, np.uint8)
            part = image[y : y + side, x : x + side]
            tile[: part.shape[0], : part.shape[1]] = part
            yield encode(np.ascontiguousarray(tile))


def write_encoded(path: Path, encode: Any, photometric: int = 2, **options: Any) -> Path:
    """Write encoded tiles under a photometric tag (2 RGB, 6 YCbCr), whatever they hold."""
    options = {"compression": "jpeg", "subsampling": (1, 1), **options}
    tifffile.imwrite(path, encoded_tiles(SMOOTH, encode), shape=SMOOTH.shape, dtype=np.uint8,
                     tile=(64, 64), metadata=None, photometric="ycbcr", **options)  # fmt: skip
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags[262].overwrite(photometric)
    return path


def jpeg_of(colors: str, *, bare: bool = False) -> Any:
    """Return an encoder; bare ones leave out the markers and ids that tell the colors."""

    def encode(tile: Any) -> bytes:
        data = bytes(imagecodecs.jpeg8_encode(tile, level=97, colorspace="rgb",
                                              outcolorspace=colors, subsampling="444"))  # fmt: skip
        if not bare:
            return data
        data = data[:2] + data[data.index(b"\xff\xdb") :]
        data = data.replace(b"R\x11\x00G\x11\x00B\x11\x00", b"\1\x11\x00\2\x11\x00\3\x11\x00")
        return data.replace(b"\x03R\x00G\x00B\x00", b"\x03\1\x00\2\x00\3\x00")

    return encode


@pytest.mark.parametrize(("tag", "says"), [(2, "rgb"), (6, "ycbcr")])
@pytest.mark.parametrize("colors", ["rgb", "ycbcr"])
def test_the_markers_of_a_jpeg_outrank_the_photometric_tag(
    tmp_path: Path, tag: int, says: str, colors: str
) -> None:
    path = write_encoded(tmp_path / "a.tif", jpeg_of(colors), tag)
    with TiffSlide(path) as slide:
        assert np.abs(whole(slide).astype(int) - SMOOTH).mean() < 2
        said = [w for w in slide.warnings if "photometric" in w]
    assert bool(said) == (says != colors)


@pytest.mark.parametrize(("tag", "colors"), [(2, "rgb"), (6, "ycbcr")])
def test_a_jpeg_without_color_markers_is_what_the_tag_says(
    tmp_path: Path, tag: int, colors: str
) -> None:
    path = write_encoded(tmp_path / "a.tif", jpeg_of(colors, bare=True), tag)
    with TiffSlide(path) as slide:
        assert np.abs(whole(slide).astype(int) - SMOOTH).mean() < 2
        assert not any("photometric" in w for w in slide.warnings)


def jpeg2000_of(**options: Any) -> Any:
    return lambda tile: bytes(imagecodecs.jpeg2k_encode(tile, level=0, **options))


@pytest.mark.parametrize("number", [33003, 33005, 34712])
@pytest.mark.parametrize(
    "options",
    [
        {"codecformat": "j2k", "mct": True},
        {"codecformat": "jp2", "mct": False, "colorspace": "SRGB"},
        {"codecformat": "jp2", "mct": True, "reversible": True},
    ],
    ids=["mixed", "said", "both"],
)
def test_a_jpeg_2000_header_outranks_the_compression_number(
    tmp_path: Path, number: int, options: dict[str, Any]
) -> None:
    path = write_encoded(tmp_path / "a.tif", jpeg2000_of(**options), compression=number)
    with TiffSlide(path) as slide:
        np.testing.assert_array_equal(whole(slide), SMOOTH)
        assert any("33003 says YCbCr" in w for w in slide.warnings) == (number == 33003)


def test_ycbcr_of_jpeg_2000_becomes_rgb(tmp_path: Path) -> None:
    def encode(tile: Any) -> bytes:
        ycbcr = np.asarray(Image.fromarray(tile).convert("YCbCr"))
        return bytes(imagecodecs.jpeg2k_encode(ycbcr, level=0, codecformat="j2k", mct=False))

    path = write_encoded(tmp_path / "a.tif", encode, compression=33003, photometric=6)
    with TiffSlide(path) as slide:
        assert np.abs(whole(slide).astype(int) - SMOOTH).max() <= 3


def test_colors_that_nothing_tells_are_refused(tmp_path: Path) -> None:
    encode = jpeg2000_of(codecformat="j2k", mct=False)
    path = write_encoded(tmp_path / "a.tif", encode, compression=33003)
    with pytest.raises(SlideError, match="33003 says YCbCr, its photometric tag RGB"):
        TiffSlide(path)


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000"])
def test_a_tile_of_another_size_is_damage(tmp_path: Path, compression: str) -> None:
    encode = jpeg_of("ycbcr") if compression == "jpeg" else jpeg2000_of(codecformat="j2k")
    path = write_encoded(tmp_path / "a.tif", lambda tile: encode(tile.reshape(128, 32, 3)),
                         compression=compression)  # fmt: skip
    with TiffSlide(path) as slide, pytest.raises(SlideError, match="32 × 128 px where 64 × 64"):
        slide.read_level(0, 0, 0, 8, 8)


@pytest.mark.parametrize("fill", [b"\xff\xff\xff", b"\r\n", b"\0"])
def test_fill_behind_a_tile_is_no_damage(tmp_path: Path, fill: bytes) -> None:
    encode = jpeg_of("ycbcr")
    path = write_encoded(tmp_path / "a.tif", lambda tile: encode(tile) + fill)
    with TiffSlide(path) as slide:
        assert np.abs(whole(slide).astype(int) - SMOOTH).mean() < 2


# Images ------------------------------------------------------------------------------


def test_another_image_is_opened_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(IMAGE, photometric="rgb", tile=(64, 64), metadata=None)
        writer.write(SMOOTH[:90, :70], photometric="rgb", tile=(64, 64), metadata=None)
    with TiffSlide(path) as slide:
        assert [image.shape for image in slide.images] == [(150, 200), (90, 70)]
        assert slide.series == 0
        assert any("not analyzed: series 1 (70 × 90 px)" in w for w in slide.warnings)
    with TiffSlide(path, series=1) as slide:
        np.testing.assert_array_equal(whole(slide), SMOOTH[:90, :70])
        assert slide.series == 1
    with pytest.raises(SlideError, match="no series 2"):
        TiffSlide(path, series=2)


def test_a_large_label_is_no_slide(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(noise(300, 300), photometric="rgb", description="Label", metadata=None)
        writer.write(IMAGE, photometric="rgb", tile=(64, 64), metadata=None)
    with TiffSlide(path) as slide:
        np.testing.assert_array_equal(whole(slide), IMAGE)
        assert any("'Label' (300 × 300 px)" in w for w in slide.warnings)


def test_the_thumbnail_of_what_cannot_be_read_is_no_slide(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(np.zeros((480, 640), np.uint16), photometric="minisblack", metadata=None)
        writer.write(noise(120, 160), photometric="rgb", metadata=None)
    with pytest.raises(SlideError, match="16-bit"):
        TiffSlide(path)


def test_the_label_of_a_scan_is_not_worth_a_warning(tmp_path: Path) -> None:
    with TiffSlide(write_svs(tmp_path / "a.svs", [SMOOTH])) as slide:
        assert not any("not analyzed" in w for w in slide.warnings)
        assert [image.name for image in slide.images] == ["Baseline", "Thumbnail"]


# Behavior ---------------------------------------------------------------------------


def test_threads_read_the_same_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_fddm.slides.tiff.CACHE_BYTES", 40_000)
    path = write_tiff(tmp_path / "a.tif", [IMAGE], tile=16, mpp=0.5)
    rng = np.random.default_rng(1)
    places = [(int(rng.integers(0, 120)), int(rng.integers(0, 160))) for _ in range(400)]
    with TiffSlide(path) as slide, ThreadPoolExecutor(8) as pool:
        for (y, x), found in zip(
            places, pool.map(lambda p: slide.read_level(0, *p, 30, 40), places), strict=True
        ):
            np.testing.assert_array_equal(found, IMAGE[y : y + 30, x : x + 40])


def test_cache_keeps_to_its_bytes() -> None:
    cache = TileCache(1000)
    tile = np.zeros((10, 10, 3), np.uint8)  # 300 bytes
    for n in range(5):
        cache.put((0, 0, n), tile)
    assert [cache.get((0, 0, n)) is not None for n in range(5)] == [False, False, True, True, True]
    cache.get((0, 0, 2))
    cache.put((0, 0, 5), tile)
    assert cache.get((0, 0, 2)) is not None
    assert cache.get((0, 0, 3)) is None
    cache.clear()
    assert cache.get((0, 0, 2)) is None


def test_fingerprint_follows_the_content(tmp_path: Path) -> None:
    a = write_tiff(tmp_path / "a.tif", [IMAGE])
    (tmp_path / "moved").mkdir()
    b = tmp_path / "moved" / "b.tif"
    b.write_bytes(a.read_bytes())
    c = write_tiff(tmp_path / "c.tif", [IMAGE[::-1]])
    with TiffSlide(a) as one, TiffSlide(b) as two, TiffSlide(c) as three:
        assert one.fingerprint == two.fingerprint != three.fingerprint
        assert (one.name, two.name) == ("a.tif", "b.tif")
        assert one.uri == str(a)


def test_onto_white() -> None:
    color = np.array([[[100, 0, 200]]], np.uint8)
    for alpha, expected in ((0, [255, 255, 255]), (255, [100, 0, 200]), (51, [224, 204, 244])):
        found = onto_white(color, np.array([[alpha]], np.uint8), premultiplied=False)
        assert found[0, 0].tolist() == expected
    faded = onto_white(np.array([[[20, 0, 40]]], np.uint8), np.array([[51]], np.uint8),
                       premultiplied=True)  # fmt: skip
    assert faded[0, 0].tolist() == [224, 204, 244]
