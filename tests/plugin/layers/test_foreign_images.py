"""Layers of other readers: which image of a file they show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_fddm.plugin.layers.foreign_images import LayerImage, examine
from tests.slides.ngff.test_images import OVERVIEW, SLIDE, bioformats2raw

if TYPE_CHECKING:
    from pathlib import Path


def test_a_layer_is_the_image_of_its_file_that_has_its_size(tmp_path: Path) -> None:
    path = str(bioformats2raw(tmp_path / "a.zarr", ["0", "1"]))
    slide = examine(LayerImage("scan", path, (SLIDE,), rgb=True)).info
    overview = examine(LayerImage("scan", path, (OVERVIEW,), rgb=True)).info
    assert (slide.uri, slide.series, slide.mpp) == (path, 1, 0.5)
    assert (overview.uri, overview.series, overview.mpp) == (f"{path}?series=0", 0, 2.0)
    assert overview.fingerprint != slide.fingerprint


def test_a_layer_of_other_pixels_is_not_the_file(tmp_path: Path) -> None:
    path = str(bioformats2raw(tmp_path / "a.zarr", ["0", "1"]))
    assert examine(LayerImage("scan", path, (255 - SLIDE,), rgb=True)).info.uri == ""
