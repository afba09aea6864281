from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from napari_fddm.core.errors import SlideError
from napari_fddm.core.geometry import Mpp, Region
from napari_fddm.slides import open_slide
from napari_fddm.slides.opening import slide_spec
from tests.support.slides import binned, stained

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

IMAGE = stained(200, 160)
RGB = (("Red", "FF0000"), ("Green", "00FF00"), ("Blue", "0000FF"))


def write(
    folder: Path,
    levels: list[np.ndarray],
    axes: str,
    *,
    version: str = "0.5",
    unit: str | None = "micrometer",
    scale: float = 0.5,
    channels: Sequence[tuple[str, str]] | None = RGB,
) -> Path:
    """Write levels (already in the order of axes) with their NGFF metadata.

    Channels are (name, color); None writes nothing of them.
    """
    group = zarr.open_group(folder, mode="w", zarr_format=3 if version == "0.5" else 2)
    datasets = []
    for number, level in enumerate(levels):
        chunks = tuple(min(64, n) for n in level.shape)
        array = group.create_array(str(number), shape=level.shape, dtype=level.dtype, chunks=chunks)
        array[:] = level
        factor = scale * levels[0].shape[axes.index("y")] / level.shape[axes.index("y")]
        datasets.append(
            {
                "path": str(number),
                "coordinateTransformations": [
                    {"type": "scale", "scale": [factor if a in "yx" else 1.0 for a in axes]}
                ],
            }
        )
    kinds = {"c": "channel", "t": "time"}
    listed: list[dict[str, Any]] = [
        {"name": a, "type": kinds.get(a, "space")} | ({"unit": unit} if unit and a in "yx" else {})
        for a in axes
    ]
    said: dict[str, Any] = {
        "multiscales": [{"axes": listed, "datasets": datasets, "name": "image"}]
    }
    colored = channels is not None and dict(zip(axes, levels[0].shape, strict=True)).get("c") == 3
    if colored:
        said["omero"] = {"channels": [{"label": n, "color": c} for n, c in channels or ()]}
    if version == "0.5":
        group.attrs["ome"] = {"version": "0.5", **said}
    else:
        said["multiscales"][0]["version"] = version
        group.attrs.update(said)
    return folder


def planar(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image.transpose(2, 0, 1))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["cyx", "yxc", "tczyx"])
def test_layouts(tmp_path: Path, version: str, axes: str) -> None:
    levels = [IMAGE, binned(IMAGE, 2)]
    shaped = {
        "cyx": [planar(a) for a in levels],
        "yxc": levels,
        "tczyx": [planar(a)[None, :, None] for a in levels],
    }[axes]
    slide = open_slide(write(tmp_path / "a.ome.zarr", shaped, axes, version=version))
    assert (slide.backend, slide.name, slide.mpp) == ("omezarr", "a.ome.zarr", Mpp(0.5, "ome"))
    whole = slide.levels[0].shape
    region = Region(0, 0, *(float(n) for n in whole))
    np.testing.assert_array_equal(slide.read_region(region, 0.5), IMAGE)
    np.testing.assert_array_equal(slide.read_region(region, 1.0), levels[1])
    np.testing.assert_array_equal(np.asarray(slide.as_dask()[1]), levels[1])
    again = open_slide(slide_spec(slide))
    assert again.fingerprint == slide.fingerprint


def test_bioformats2raw_layout(tmp_path: Path) -> None:
    zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2).attrs["x"] = 1
    write(tmp_path / "a.zarr" / "0", [planar(IMAGE)], "cyx", version="0.4")
    assert open_slide(tmp_path / "a.zarr").levels[0].shape == IMAGE.shape[:2]


@pytest.mark.parametrize(
    ("unit", "scale", "mpp"),
    [("nanometer", 250.0, Mpp(0.25, "ome")), ("millimeter", 0.001, Mpp(1.0, "ome")),
     (None, 0.5, Mpp(None, "unknown")), ("micrometer", 90.0, Mpp(None, "unknown"))],
)  # fmt: skip
def test_pixel_size(tmp_path: Path, unit: str | None, scale: float, mpp: Mpp) -> None:
    folder = write(tmp_path / "a.zarr", [planar(IMAGE)], "cyx", unit=unit, scale=scale)
    slide = open_slide(folder)
    assert slide.mpp == mpp
    assert any("by hand" in w for w in slide.warnings) == (mpp.value is None)
    assert open_slide(folder, mpp=0.3).mpp == Mpp(0.3, "user")


@pytest.mark.parametrize(
    ("image", "axes"),
    [
        (planar(IMAGE).astype(np.uint16), "cyx"),
        (np.zeros((2, 50, 50), np.uint8), "cyx"),
        (np.zeros((4, 3, 50, 50), np.uint8), "tcyx"),
        (np.zeros((5, 50, 50), np.uint8), "zyx"),
    ],
)
def test_other_images_are_refused(tmp_path: Path, image: np.ndarray, axes: str) -> None:
    with pytest.raises(SlideError, match=r"a\.zarr") as caught:
        open_slide(write(tmp_path / "a.zarr", [image], axes))
    assert caught.value.hint


def test_broken_groups_are_refused(tmp_path: Path) -> None:
    zarr.open_group(tmp_path / "plain.zarr", mode="w")
    (tmp_path / "text.zarr").mkdir()
    (tmp_path / "text.zarr" / "zarr.json").write_text("not json")
    lost = write(tmp_path / "lost.zarr", [planar(IMAGE)], "cyx")
    for file in (lost / "0").rglob("*"):
        if file.is_file():
            file.unlink()
    odd = write(tmp_path / "odd.zarr", [planar(IMAGE)], "cyx")
    zarr.open_group(odd).attrs["ome"] = {"multiscales": [{"axes": "yx", "datasets": 3}]}
    for name in ("plain.zarr", "text.zarr", "lost.zarr", "odd.zarr"):
        with pytest.raises(SlideError, match=name) as caught:
            open_slide(tmp_path / name)
        assert "\n" not in str(caught.value)


def said_of(folder: Path) -> str:
    with pytest.raises(SlideError) as caught:
        open_slide(folder)
    text = str(caught.value)
    assert "\n" not in text
    assert folder.name in text
    assert caught.value.hint
    return text


def test_reasons_are_given_in_words(tmp_path: Path) -> None:
    old = write(tmp_path / "old.zarr", [planar(IMAGE)], "cyx", version="0.3")
    assert "OME-Zarr 0.3; 0.4 and 0.5 can be read" in said_of(old)
    levels = [planar(IMAGE), planar(binned(IMAGE, 2))]
    lost = write(tmp_path / "lost.zarr", levels, "cyx")
    shutil.rmtree(lost / "1")
    assert "levels 1 are missing" in said_of(lost)
    single = tmp_path / "single.zarr"
    zarr.create_array(single, data=IMAGE)
    assert "single zarr array" in said_of(single)
    deep = write(tmp_path / "deep.zarr", [planar(IMAGE).astype(np.uint16)], "cyx")
    assert "16-bit uint16" in said_of(deep)
    many = write(tmp_path / "many.zarr", [np.zeros((5, 64, 64), np.uint8)], "cyx")
    assert "5 channels" in said_of(many)
    stack = write(tmp_path / "stack.zarr", [np.zeros((4, 3, 64, 64), np.uint8)], "tcyx")
    assert "stack" in said_of(stack)


def test_damage_does_not_keep_a_slide_from_opening(tmp_path: Path) -> None:
    levels = [planar(IMAGE), planar(binned(IMAGE, 2))]
    folder = write(tmp_path / "a.zarr", levels, "cyx")
    for chunk in (folder / "1" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(b"garbage")
    with open_slide(folder) as slide:
        assert any("could not be looked at" in w for w in slide.warnings)
        np.testing.assert_array_equal(slide.read_level(0, 0, 0, 200, 160), IMAGE)
        with open_slide(folder) as again:
            assert again.fingerprint == slide.fingerprint


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="permissions do not bind here")
def test_an_unreadable_folder_is_one_line(tmp_path: Path) -> None:
    folder = write(tmp_path / "a.zarr", [planar(IMAGE)], "cyx")
    (folder / "0" / "zarr.json").chmod(0)
    assert "Permission" in said_of(folder)


def test_a_failing_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    folder = write(tmp_path / "a.zarr", [planar(IMAGE)], "cyx")
    monkeypatch.setattr("napari_fddm.slides.array._fingerprint", fail)
    assert "Input/output error" in said_of(folder)


def test_a_damaged_chunk_is_an_error(tmp_path: Path) -> None:
    folder = write(tmp_path / "a.zarr", [planar(IMAGE)], "cyx")
    with open_slide(folder) as slide:
        for chunk in (folder / "0" / "c").rglob("2"):
            if chunk.is_file():
                chunk.write_bytes(b"garbage")
        slide.read_region(Region(0, 0, 60, 60), 0.5)
        with pytest.raises(SlideError, match=r"a\.zarr cannot be read at level 0"):
            slide.read_region(Region(130, 130, 60, 30), 0.5)
