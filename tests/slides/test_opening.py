from __future__ import annotations

import os
import pickle
import re
import stat
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_fddm.core.errors import FddmError, MppError, SlideError
from napari_fddm.core.geometry import Mpp, Region
from napari_fddm.core.protocols import Slide
from napari_fddm.slides import ArraySlide, open_slide
from napari_fddm.slides import openslide as openslide_backend
from napari_fddm.slides.opening import slide_spec
from tests.support.slides import binned, noise, stained, write_svs, write_tiff
from tests.support.stores import make

IMAGE = stained(200, 160)


def refusal(path: str | Path) -> str:
    with pytest.raises(SlideError) as caught:
        open_slide(path)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.hint
    assert Path(path).name in text
    return text


def test_opens_svs_and_tiff_with_the_tiff_reader(tmp_path: Path) -> None:
    for path in (
        write_svs(tmp_path / "a.svs", [IMAGE]),
        write_tiff(tmp_path / "b.tif", [IMAGE, binned(IMAGE, 2)], mpp=0.5),
        write_tiff(tmp_path / "c.ome.tif", [IMAGE], ome=True),
        write_tiff(tmp_path / "named_wrongly.jpg", [IMAGE], mpp=0.5),
    ):
        slide = open_slide(str(path))
        assert isinstance(slide, Slide)
        assert (slide.backend, slide.name) == ("tiff", path.name)
        slide.close()


def test_relative_and_home_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiff(tmp_path / "a.tif", [IMAGE])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for text in ("a.tif", "~/a.tif"):
        slide = open_slide(text)
        slide.close()
        assert slide_spec(slide) == str(tmp_path / "a.tif")


def test_a_tilde_may_begin_a_file_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiff(tmp_path / "~scan.tif", [IMAGE])
    monkeypatch.chdir(tmp_path)
    slide = open_slide("~scan.tif", mpp=0.5)
    slide.close()
    assert slide.name == "~scan.tif"


# Hostile input ----------------------------------------------------------------------


def test_missing(tmp_path: Path) -> None:
    assert "no file" in refusal(tmp_path / "gone.svs")


def test_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.svs"
    path.touch()
    assert "empty" in refusal(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"This is no slide.\r\n" * 50, "text file"),
        ("Größe\n".encode() * 100, "text file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(500), "a PNG image"),
        (b"PK\x03\x04" + bytes(500), "a ZIP archive"),
        (b"\x08\x00\x05\x00\x0a\x00" + bytes(500), "old form of DICOM"),
        (bytes(1000), "no known slide format"),
        (b"II*\x00", "a.svs"),
        (b"II*\x00\xff\xff\xff\x7f" + bytes(100), "cut off"),
        (b"II*\x00\x08\x00\x00\x00" + bytes(500), "a.svs"),
        (b"MM\x00+\x00\x08\x00\x00" + b"\xff" * 500, "a.svs"),
        (b"II*\x00\x08\x00\x00\x00" + b"\xff" * 500, "a.svs"),
        (bytes(128) + b"DICM" + bytes(300), "a.svs"),
    ],
)
def test_not_slides(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.svs"
    path.write_bytes(content)
    assert said in refusal(path)


@pytest.mark.parametrize("seed", range(8))
def test_garbled_headers_give_slide_errors_or_slides(tmp_path: Path, seed: int) -> None:
    path = write_svs(tmp_path / "a.svs", [IMAGE])
    with tifffile.TiffFile(path) as file:
        start = file.pages[0].offset
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    for place in rng.integers(0, 250, 12):
        data[start + int(place)] = int(rng.integers(0, 256))
    path.write_bytes(bytes(data))
    try:
        slide = open_slide(path)
        try:
            slide.as_dask()[-1][:50, :50].compute()
        finally:
            slide.close()
    except FddmError as error:
        assert "a.svs" in str(error)  # noqa: PT017


def test_folders(tmp_path: Path) -> None:
    assert "folder" in refusal(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    assert "without a DICOM slide" in refusal(tmp_path)


def test_the_folder_one_stands_in_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("", "."):
        with pytest.raises(SlideError, match=f"{tmp_path.name} is a folder without"):
            open_slide(text)
    with pytest.raises(SlideError, match=f"^{re.escape(tmp_path.anchor)} is a folder without"):
        open_slide(tmp_path.anchor)


def test_mrxs_without_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "scan.mrxs"
    path.write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    assert "folder" in refusal(path)


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="permissions do not bind here")
def test_unreadable(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [IMAGE])
    path.chmod(0)
    assert "cannot be read" in refusal(path)
    path.chmod(stat.S_IRUSR)


def test_errors_survive_a_process_border(tmp_path: Path) -> None:
    with pytest.raises(SlideError) as caught:
        open_slide(tmp_path / "gone.svs")
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
    assert str(copy) == str(caught.value)


# Warnings and fallback --------------------------------------------------------------


def test_the_other_reader_is_tried_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise SlideError("a.tif has odd tiles.")

    path = write_tiff(tmp_path / "a.tif", [IMAGE], mpp=0.5, compression="lzw")
    monkeypatch.setattr("napari_fddm.slides.tiff.read_structure", fail)
    slide = open_slide(path)
    slide.close()
    assert slide.backend == "openslide"
    assert any("odd tiles" in w for w in slide.warnings)


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (np.zeros((128, 128, 3), np.uint16), {"photometric": "rgb"}),
        (np.zeros((5, 128, 128, 3), np.uint8), {"photometric": "rgb"}),
        (np.zeros((2, 128, 128), np.uint8), {"photometric": "minisblack", "ome": True,
         "metadata": {"axes": "CYX"}}),
    ],
)  # fmt: skip
def test_the_other_reader_is_not_asked_for_what_is_no_slide(
    tmp_path: Path, data: np.ndarray, options: dict[str, object]
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, data, tile=(64, 64), **options)
    assert openslide_backend.detect_vendor(path) == "generic-tiff"  # it would take the file
    assert "brightfield" in refusal(path)


def test_odd_colors_are_left_to_the_other_reader(tmp_path: Path) -> None:
    path = tmp_path / "palette.tif"
    colors = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(3, axis=0)
    tifffile.imwrite(path, IMAGE[..., 0], photometric="palette", colormap=colors, tile=(64, 64))
    slide = open_slide(path)
    assert slide.backend == "openslide"
    assert any("palette" in w for w in slide.warnings)
    found = np.asarray(slide.as_dask()[0])
    np.testing.assert_array_equal(found, IMAGE[..., [0, 0, 0]])
    slide.close()


def test_tiff_opens_without_openslide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise SlideError("OpenSlide is not installed.", hint="Install it.")

    monkeypatch.setattr(openslide_backend, "_library", fail)
    slide = open_slide(write_tiff(tmp_path / "a.tif", [IMAGE]))
    slide.close()
    assert slide.backend == "tiff"
    other = tmp_path / "b.ndpi"
    other.write_bytes(bytes(600))
    with pytest.raises(SlideError, match="not installed"):
        open_slide(other)


@pytest.mark.parametrize(
    ("image", "dark"),
    [
        (stained(300, 300), False),
        (np.full((300, 300, 3), (120, 60, 140), np.uint8), False),  # tissue from edge to edge
        (noise(300, 300) // 12, True),
        (np.full((300, 300, 3), (2, 3, 40), np.uint8), True),  # nuclei stained blue on black
    ],
)
def test_dark_slides_are_warned_of(tmp_path: Path, image: np.ndarray, dark: bool) -> None:
    slide = open_slide(write_tiff(tmp_path / "a.tif", [image], mpp=0.5))
    slide.close()
    assert any("dark" in w for w in slide.warnings) == dark


def test_user_mpp(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [IMAGE], mpp=0.5)
    slide = open_slide(path, mpp=0.25)
    slide.close()
    assert slide.mpp == Mpp(0.25, "user")
    for bad in (0.0, 100.0, float("nan")):
        with pytest.raises(MppError):
            open_slide(path, mpp=bad)


# Opening again ----------------------------------------------------------------------


@pytest.mark.parametrize("mpp", [None, 0.3, 0.1 + 0.2])
def test_spec_opens_the_same_slide(tmp_path: Path, mpp: float | None) -> None:
    path = write_tiff(tmp_path / "a slide & co.tif", [IMAGE], mpp=0.5)
    slide = open_slide(path, mpp=mpp)
    again = open_slide(slide_spec(slide))
    assert again.mpp == slide.mpp
    assert again.fingerprint == slide.fingerprint
    assert slide_spec(again) == slide_spec(slide)
    slide.close()
    again.close()


def test_file_whose_name_looks_like_a_spec(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif?mpp=0.3", [IMAGE], mpp=0.5)
    slide = open_slide(path)
    slide.close()
    assert slide.mpp.source == "tiff-resolution"
    with pytest.raises(MppError):
        open_slide(f"{path}?mpp=1e")


def test_arrays_have_no_spec() -> None:
    with pytest.raises(SlideError, match="array"):
        slide_spec(ArraySlide(IMAGE))


def test_synthetic_slides_by_name() -> None:
    slide = open_slide("synthetic:600x400?seed=3&mpp=0.5")
    assert slide.levels[0].shape == (600, 400)
    assert slide.mpp.value == 0.5
    again = open_slide(slide_spec(slide))
    other = open_slide("synthetic:600x400?seed=4&mpp=0.5")
    region = Region(100, 100, 128, 128)
    pixels = slide.read_region(region, 1.0)
    np.testing.assert_array_equal(pixels, again.read_region(region, 1.0))
    assert again.fingerprint == slide.fingerprint != other.fingerprint
    assert slide_spec(open_slide("synthetic:600x400", mpp=1.0)).endswith("mpp=1.0")


@pytest.mark.parametrize(
    "text",
    ["synthetic:", "synthetic:4x", "synthetic:10x10?sed=3", "synthetic:10x10?seed=a",
     "synthetic:0x10", "synthetic:10x10?mpp=-1", "synthetic:10x10?seed=-3"],
)  # fmt: skip
def test_synthetic_nonsense(text: str) -> None:
    with pytest.raises(SlideError, match="synthetic"):
        open_slide(text)


def test_an_analysis_is_not_taken_for_a_slide(tmp_path):
    path = tmp_path / "s.fddm.ome.zarr"
    make(path).close()
    with pytest.raises(SlideError, match="is an analysis, not a slide"):
        open_slide(path)
