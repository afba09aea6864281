from __future__ import annotations

import errno
import json
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


# Channels ---------------------------------------------------------------------------


BLUE_FIRST = (("Blue", "0000FF"), ("Green", "00FF00"), ("Red", "FF0000"))
NUMBERED = (("Channel 0", "0000FF"), ("Channel 1", "00FF00"), ("Channel 2", "FF0000"))


@pytest.mark.parametrize("channels", [BLUE_FIRST, NUMBERED])
@pytest.mark.parametrize("axes", ["cyx", "yxc"])
def test_channels_are_put_in_order_by_what_is_said(
    tmp_path: Path, channels: Sequence[tuple[str, str]], axes: str
) -> None:
    image = IMAGE[..., ::-1]
    level = planar(image) if axes == "cyx" else np.ascontiguousarray(image)
    with open_slide(write(tmp_path / "a.zarr", [level], axes, channels=channels)) as slide:
        assert not slide.warnings
        np.testing.assert_array_equal(slide.read_level(0, 0, 0, 200, 160), IMAGE)


def test_an_axis_of_channels_counts_by_its_type_not_its_place(tmp_path: Path) -> None:
    folder = write(tmp_path / "a.zarr", [np.ascontiguousarray(IMAGE.transpose(0, 2, 1))], "ycx")
    group = zarr.open_group(folder)
    ome = dict(group.attrs["ome"])
    ome["multiscales"][0]["axes"][1]["name"] = "stain"
    group.attrs["ome"] = ome
    with open_slide(folder) as slide:
        np.testing.assert_array_equal(slide.read_level(0, 0, 0, 200, 160), IMAGE)


def test_colors_that_nothing_says_are_said(tmp_path: Path) -> None:
    with open_slide(write(tmp_path / "a.zarr", [planar(IMAGE)], "cyx", channels=None)) as slide:
        assert any("nothing in the file says which" in text for text in slide.warnings)
        np.testing.assert_array_equal(slide.read_level(0, 0, 0, 200, 160), IMAGE)


def test_other_channels_are_refused(tmp_path: Path) -> None:
    stains = (("DAPI", "0000FF"), ("FITC", "00FF00"), ("Cy5", "FF00FF"))
    assert "'DAPI'" in said_of(write(tmp_path / "a.zarr", [planar(IMAGE)], "cyx", channels=stains))
    few = write(tmp_path / "b.zarr", [planar(IMAGE)], "cyx", channels=stains[:2])
    assert "3 channels, but its omero metadata names 2" in said_of(few)
    four = np.concatenate([planar(IMAGE), planar(IMAGE)[:1]])
    assert "alpha" in said_of(write(tmp_path / "c.zarr", [four], "cyx"))
    gray = write(tmp_path / "d.zarr", [planar(IMAGE)], "cyx", channels=NUMBERED)
    group = zarr.open_group(gray)
    ome = dict(group.attrs["ome"])
    ome["omero"]["rdefs"] = {"model": "greyscale"}
    group.attrs["ome"] = ome
    assert "display model is grayscale" in said_of(gray)


# Sizes and chunks -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shape": [3, 10**18, 256]}, "impossible shape"),
        ({"shape": [3, 2**30, 2**30]}, "such a slide cannot be read"),
        ({"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 20000, 20000]}}},
         "chunks of 381"),
    ],
)  # fmt: skip
def test_sizes_that_cannot_be_are_refused_before_anything_is_read(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    folder = write(tmp_path / "a.zarr", [planar(IMAGE)], "cyx")
    about = json.loads((folder / "0/zarr.json").read_text())
    (folder / "0/zarr.json").write_text(json.dumps({**about, **changes}))
    assert said in said_of(folder)


def test_chunks_that_were_never_stored_are_counted_and_not_analyzed(tmp_path: Path) -> None:
    folder = write(tmp_path / "a.zarr", [planar(IMAGE), planar(binned(IMAGE, 2))], "cyx")
    (folder / "0/c/0/2/0").unlink()
    with open_slide(folder) as slide:
        assert list(slide.warnings) == [
            "1 of 12 chunks of level 0 were never stored; the tissue there is not analyzed."
        ]
        stored = slide.stored_mask((200, 160))
        assert not stored[128:192, :64].any()
        assert stored.sum() == 200 * 160 - 64 * 64


def test_a_pipe_is_no_chunk(tmp_path: Path) -> None:
    folder = write(tmp_path / "a.zarr", [planar(IMAGE)], "cyx")
    (folder / "0/c/0/0/0").unlink()
    os.mkfifo(folder / "0/c/0/0/0")
    with open_slide(folder) as slide, pytest.raises(SlideError, match="pipe or device"):
        slide.read_level(0, 0, 0, 8, 8)


def test_deep_metadata_is_one_sentence(tmp_path: Path) -> None:
    folder = write(tmp_path / "a.zarr", [planar(IMAGE)], "cyx")
    deep = '{"a":' * 20_000 + "1" + "}" * 20_000
    (folder / "zarr.json").write_text(f'{{"zarr_format": 3, "node_type": "group", "x": {deep}}}')
    assert "nested too deeply" in said_of(folder)
