"""Pictures: nothing is guessed, and what is strange is named with its place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_fddm.core.classes import OSTEOSARCOMA, ClassTable
from napari_fddm.core.errors import DataError
from napari_fddm.evaluation.reading import OPTIONS
from napari_fddm.interop import class_images, pictures
from napari_fddm.interop.class_images import NO_OPTIONS, read_class_image

if TYPE_CHECKING:
    from pathlib import Path

LABELS = (np.arange(24).reshape(4, 6) % 7 + 1).astype(np.uint8)
PAPER = OSTEOSARCOMA.rgb_table(paper=True)


def saved(path: Path, pixels: np.ndarray, mode: str | None = None) -> Path:
    if path.suffix == ".png":
        Image.fromarray(pixels, mode).save(path)
    else:
        tifffile.imwrite(path, pixels)
    return path


def indexed(path: Path, values: np.ndarray, palette: np.ndarray) -> Path:
    picture = Image.fromarray(values, "P")
    picture.putpalette(palette.astype(np.uint8).tobytes())
    picture.save(path)
    return path


@pytest.mark.parametrize("ending", [".png", ".tif", ".tiff"])
def test_values_and_paper_colors_are_read(tmp_path: Path, ending: str):
    values = read_class_image(saved(tmp_path / f"values{ending}", LABELS))
    colors = read_class_image(saved(tmp_path / f"colors{ending}", PAPER[LABELS]))
    assert (values.reading, colors.reading) == ("values", "paper")
    for found in (values, colors):
        assert np.array_equal(found.labels, LABELS)
        assert found.left_out == {}


def test_wide_whole_numbers_are_read(tmp_path: Path):
    for kind in (np.uint16, np.int32):
        path = saved(tmp_path / "wide.tif", LABELS.astype(kind))
        assert np.array_equal(read_class_image(path).labels, LABELS)


def test_colors_of_the_screen_must_be_asked_for(tmp_path: Path):
    path = saved(tmp_path / "screen.png", OSTEOSARCOMA.rgb_table()[LABELS])
    with pytest.raises(DataError, match=r"colors of the screen: save it in the paper's"):
        read_class_image(path)
    with pytest.raises(DataError, match=r"--truth-as .* screen"):
        read_class_image(path, options=OPTIONS)
    assert np.array_equal(read_class_image(path, reading="screen").labels, LABELS)


def test_transparent_pixels_are_not_analyzed(tmp_path: Path):
    rgba = np.dstack([PAPER[LABELS], np.full(LABELS.shape, 255, np.uint8)])
    rgba[1, 2] = (1, 2, 3, 0)
    expected = LABELS.copy()
    expected[1, 2] = 0
    for name in ("a.png", "a.tif"):
        assert np.array_equal(read_class_image(saved(tmp_path / name, rgba)).labels, expected)


def test_an_unknown_color_is_named_with_its_count_and_place(tmp_path: Path):
    colors = PAPER[LABELS]
    colors[2, 3] = colors[3, 5] = (165, 0, 0)  # what blending red and black makes
    colors[3, 0] = (254, 255, 255)
    path = saved(tmp_path / "mask.png", colors)
    with pytest.raises(DataError) as caught:
        read_class_image(path, options=OPTIONS)
    assert "mask.png has 2 colors that belong to no class" in str(caught.value)
    assert "(165, 0, 0) in 2 px, first in row 2, column 3" in str(caught.value)
    assert "leave-out" in caught.value.hint
    found = read_class_image(path, leave_out=True)
    assert found.left_out == {"(165, 0, 0)": 2, "(254, 255, 255)": 1}
    expected = LABELS.copy()
    expected[2, 3] = expected[3, 5] = expected[3, 0] = 0
    assert np.array_equal(found.labels, expected)


def test_an_unknown_value_is_named_with_its_count_and_place(tmp_path: Path):
    values = LABELS.copy()
    values[1, 1] = values[2, 0] = 255
    path = saved(tmp_path / "mask.png", values)
    with pytest.raises(DataError, match=r"255 in 2 px, first in row 1, column 1"):
        read_class_image(path)
    assert read_class_image(path, leave_out=True).left_out == {"255": 2}


def test_planar_tiff_is_read(tmp_path: Path):
    path = tmp_path / "planar.tif"
    colors = np.moveaxis(PAPER[LABELS], 2, 0)
    tifffile.imwrite(path, colors, photometric="rgb", planarconfig="separate")
    assert np.array_equal(read_class_image(path).labels, LABELS)


def test_other_classes_have_other_colors_and_values(tmp_path: Path):
    one = replace(OSTEOSARCOMA["VT"], value=1, name="tumor", paper_rgb=(0, 0, 0))
    two = replace(OSTEOSARCOMA["NC"], value=2, paper_rgb=(9, 9, 9))
    table = ClassTable((one, two))
    labels = LABELS % 2 + 1
    colors = table.rgb_table(paper=True)[labels]
    opaque = np.where(labels == 1, 255, 0)
    rgba = saved(tmp_path / "a.png", np.dstack([colors, opaque]).astype(np.uint8))
    assert np.array_equal(read_class_image(saved(tmp_path / "c.png", colors), table).labels, labels)
    assert np.array_equal(read_class_image(rgba, table).labels, np.where(labels == 1, 1, 0))
    with pytest.raises(DataError, match="belong to no class"):
        read_class_image(saved(tmp_path / "v.png", LABELS), table)
    palette = indexed(tmp_path / "p.png", labels - 1, np.array([(0, 0, 0), (9, 9, 9)]))
    with pytest.raises(DataError, match="or tumor"):
        read_class_image(palette, table)


def test_places_are_right_in_every_band(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(class_images, "_BAND", 12)
    colors = PAPER[LABELS]
    colors[3, 4] = (9, 9, 9)
    with pytest.raises(DataError, match="row 3, column 4"):
        read_class_image(saved(tmp_path / "mask.png", colors))


def test_an_indexed_picture_is_read_by_its_colors_where_they_are_classes(tmp_path: Path):
    palette = PAPER[1:][::-1]  # index 0 is NT, 6 is BG: an encoder's order
    path = indexed(tmp_path / "p.png", (7 - LABELS).astype(np.uint8), palette)
    found = read_class_image(path)
    assert found.reading == "paper"
    assert np.array_equal(found.labels, LABELS)


def test_an_indexed_picture_with_other_colors_is_read_by_its_values(tmp_path: Path):
    ramp = np.repeat(np.arange(256)[:, None], 3, axis=1)
    found = read_class_image(indexed(tmp_path / "p.png", LABELS, ramp))
    assert found.reading == "values"
    assert np.array_equal(found.labels, LABELS)


def test_black_at_index_0_can_mean_two_things_and_is_refused(tmp_path: Path):
    values = np.array([[0, 1, 2]], np.uint8)
    palette = np.array([[0, 0, 0], [255, 255, 255], [0, 128, 0]])
    path = indexed(tmp_path / "p.png", values, palette)
    for options, words in ((NO_OPTIONS, "Save it as RGB"), (OPTIONS, "--truth-as")):
        with pytest.raises(DataError, match="'not analyzed' or hemorrhage") as caught:
            read_class_image(path, options=options)
        assert words in caught.value.hint
    assert read_class_image(path, reading="values").labels.tolist() == [[0, 1, 2]]
    assert read_class_image(path, reading="paper").labels.tolist() == [[5, 1, 2]]


def test_what_is_no_label_map_is_refused(tmp_path: Path):
    cases = {
        "float.tif": (lambda p: saved(p, np.ones((3, 3), np.float32)), "not whole numbers"),
        "bits.png": (lambda p: Image.new("1", (3, 3)).save(p), "yes and no"),
        "jpeg.png": (lambda p: Image.new("RGB", (3, 3)).save(p, "JPEG"), "it is a JPEG"),
        "text.png": (lambda p: p.write_text("no"), "cannot be read"),
        "text.tif": (lambda p: p.write_text("no"), "cannot be read"),
        "stack.tif": (lambda p: saved(p, np.ones((5, 3, 7, 2), np.uint8)), "not that of one"),
        "lossy.tif": (
            lambda p: tifffile.imwrite(p, PAPER[LABELS].repeat(16, 0).repeat(16, 1),
                                       compression="jpeg", photometric="rgb"),
            "with loss",
        ),
    }  # fmt: skip
    for name, (make, words) in cases.items():
        make(tmp_path / name)
        with pytest.raises(DataError, match=words):
            read_class_image(tmp_path / name)
    path = saved(tmp_path / "gray.png", LABELS)
    with pytest.raises(DataError, match="no colors"):
        read_class_image(path, reading="paper")
    path = saved(tmp_path / "color.png", PAPER[LABELS])
    with pytest.raises(DataError, match="not one value"):
        read_class_image(path, reading="values")


def test_a_picture_too_large_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pictures, "MAX_PIXELS", 20)
    for name in ("large.png", "large.tif"):
        with pytest.raises(DataError, match="too many"):
            read_class_image(saved(tmp_path / name, LABELS))
