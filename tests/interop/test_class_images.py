"""Mask images are read exactly or refused; nothing is guessed."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import DataError
from napari_fddm.interop.class_images import read_class_image

LABELS = np.random.default_rng(0).integers(1, 8, (12, 9)).astype(np.uint8)
COLORS = OSTEOSARCOMA.rgb_table(paper=True)[LABELS]


def test_colors_and_values_give_the_same_labels(tmp_path):
    Image.fromarray(COLORS).save(tmp_path / "rgb.png")
    Image.fromarray(LABELS).save(tmp_path / "gray.png")
    palette = Image.fromarray(COLORS).quantize(8, dither=Image.Dither.NONE)
    palette.save(tmp_path / "palette.png")
    tifffile.imwrite(tmp_path / "values.tif", LABELS)
    tifffile.imwrite(tmp_path / "rgb.tif", COLORS, photometric="rgb")
    tifffile.imwrite(tmp_path / "planar.tif", np.moveaxis(COLORS, 2, 0), photometric="rgb",
                     planarconfig="separate")  # fmt: skip
    for path in sorted(tmp_path.iterdir()):
        assert np.array_equal(read_class_image(path), LABELS), path.name


def test_indices_with_other_colors_are_values(tmp_path):
    image = Image.fromarray(LABELS).convert("P")
    image.putpalette([v for i in range(256) for v in (i, 255 - i, 7)])
    image.save(tmp_path / "own.png")
    assert np.array_equal(read_class_image(tmp_path / "own.png"), LABELS)


def test_transparent_pixels_have_no_label(tmp_path):
    alpha = np.full((*LABELS.shape, 1), 255, np.uint8)
    alpha[:3] = 0
    rgba = np.concatenate([COLORS, alpha], axis=2)
    rgba[:3, :, :3] = 99
    Image.fromarray(rgba).save(tmp_path / "a.png")
    found = read_class_image(tmp_path / "a.png")
    assert not found[:3].any()
    assert np.array_equal(found[3:], LABELS[3:])


def test_an_unknown_color_is_named_with_its_place(tmp_path):
    blended = COLORS.copy()
    blended[4, 5] = (165, 0, 0)
    Image.fromarray(blended).save(tmp_path / "b.png")
    with pytest.raises(DataError, match=r"\(165, 0, 0\) \(1 px, e.g. row 4, column 5\)"):
        read_class_image(tmp_path / "b.png")


@pytest.mark.parametrize("kind", ["value", "jpeg", "float", "text"])
def test_what_is_no_mask_is_refused(tmp_path, kind):
    path = tmp_path / {"jpeg": "m.jpg", "float": "m.tif"}.get(kind, "m.png")
    if kind == "value":
        Image.fromarray(np.full((4, 4), 9, np.uint8)).save(path)
    elif kind == "jpeg":
        Image.fromarray(COLORS).save(path)
    elif kind == "float":
        tifffile.imwrite(path, np.zeros((4, 4), np.float32))
    else:
        path.write_text("no picture")
    with pytest.raises(DataError, match=r"mask|JPEG") as caught:
        read_class_image(path)
    assert kind != "value" or "value 9 at row 0, column 0" in str(caught.value)
