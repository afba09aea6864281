"""Outlines as a tissue mask: every polygon counts, but for classes that are left out."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import MapGeometry
from napari_fddm.pipeline.run.analyze import analyze
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.pipeline.tissue import read_user_mask
from napari_fddm.pipeline.tissue.outline_mask import OutlineMask
from tests.support.foreign_labels import (
    feature,
    scale,
    square,
    translation,
    write_labels,
    write_outlines,
)
from tests.support.runs import PIXELS, WatchedSlide, changed, drain

if TYPE_CHECKING:
    from pathlib import Path

SHAPE, MPP = (800, 1200), 1.0
GRID = MapGeometry.covering(SHAPE, 16.0, MPP)


def read(path: Path) -> OutlineMask:
    mask = read_user_mask(str(path))
    assert isinstance(mask, OutlineMask)
    return mask


def test_outlines_count_with_their_holes_and_without_a_class(tmp_path: Path):
    mask = read(
        write_outlines(
            tmp_path / "a.geojson",
            feature("Tissue", square(160, 320, 320), square(240, 400, 80)),
            feature(None, square(0, 0, 32)),
            feature("unheard of", square(640, 960, 32)),
        )
    )
    assert mask.check_fits(SHAPE, "s", MPP) == ()
    expected = np.zeros(GRID.shape, bool)
    expected[10:30, 20:40] = True
    expected[15:20, 25:30] = False
    expected[:2, :2] = expected[40:42, 60:62] = True
    assert np.array_equal(mask.on_grid(GRID, SHAPE).mask, expected)


def test_classes_left_out_remove_what_lies_under_them_wherever_they_stand(tmp_path: Path):
    hole = feature("Fold*", square(0, 0, 160))
    tissue = feature("Tissue", square(0, 0, 320))
    around = feature("Region*", square(0, 0, 700))
    masks = [
        read(write_outlines(tmp_path / f"{n}.geojson", *order))
        for n, order in enumerate(((hole, tissue, around), (around, tissue, hole)))
    ]
    for n, mask in enumerate(masks):
        cells = mask.on_grid(GRID, SHAPE).mask
        assert (cells.sum(), cells[:10, :10].any()) == (300, False)
        assert mask.check_fits(SHAPE, "s", MPP) == (
            f"{n}.geojson: 1 outline 'Fold*' left out, with all under it",
            f"{n}.geojson: 1 outline 'Region*' left out",
        )


def test_a_compressed_file_is_the_same_mask(tmp_path: Path):
    plain = write_outlines(tmp_path / "a.geojson", feature("Tissue", square(0, 0, 320)))
    packed = tmp_path / "b.geojson.gz"
    packed.write_bytes(gzip.compress(b"\xef\xbb\xbf" + plain.read_bytes()))
    assert read(packed).sha256 == read(plain).sha256
    other = write_outlines(tmp_path / "c.geojson", feature("Tissue", square(0, 0, 321)))
    assert read(other).sha256 != read(plain).sha256


def test_outlines_off_the_slide_are_counted_and_all_of_them_refused(tmp_path: Path):
    off = feature("Tissue", square(2000, 20, 300))
    mask = read(write_outlines(tmp_path / "a.geojson", off, feature("T", square(0, 0, 64))))
    assert mask.check_fits(SHAPE, "s", MPP) == (
        "1 of 2 outlines of a.geojson lie outside the slide",
    )
    with pytest.raises(ConfigError, match=r"outside the slide s of 1200 × 800 px") as caught:
        read(write_outlines(tmp_path / "b.geojson", off)).check_fits(SHAPE, "s", MPP)
    assert "micrometers" in caught.value.hint


def test_no_tissue_is_an_error(tmp_path: Path):
    path = write_outlines(tmp_path / "a.geojson", feature("Ignore*", square(0, 0, 64)))
    with pytest.raises(ConfigError, match=r"no outline of tissue: .*'Ignore\*'"):
        read(path)
    small = read(write_outlines(tmp_path / "b.geojson", feature("T", square(33, 33, 5))))
    with pytest.raises(ConfigError, match="cover no tissue"):
        small.on_grid(GRID, SHAPE)
    (tmp_path / "c.geojson").write_text('{"type": "FeatureCollection", "features": [')
    with pytest.raises(ConfigError, match=r"c\.geojson"):
        read(tmp_path / "c.geojson")


def test_a_run_analyzes_what_the_outlines_hold_and_says_what_it_left_out(tmp_path, model):
    """A part of the slide, as outlines and as a label map with its own place."""
    off = feature("Tissue", square(9000, 0, 50))
    drawn = write_outlines(tmp_path / "a.geojson", feature("Tissue", square(300, 300, 600)), off)
    placed = write_labels(
        tmp_path / "b.ome.zarr",
        np.ones((60, 60), np.int32),
        [scale(10, 10), translation(304.5, 304.5)],
    )
    slide = WatchedSlide(PIXELS)
    areas = []
    for mask, words in ((drawn, "1 of 2 outlines"), (placed, "covers 0.36 of the 6.76 mm²")):
        store = tmp_path / f"{mask.name}.fddm.ome.zarr"
        config = changed(stage="patch", tissue=str(mask))
        drain(analyze(slide, store=store, model=model, config=config))
        with AnalysisStore.open(store) as opened:
            assert any(words in note for note in opened.provenance["notes"])
            areas.append(opened.provenance["tissue_mm2"])
            assert np.count_nonzero(opened.maps.probability_map("patch").labels) == 9
    assert areas == pytest.approx([0.36, 0.36], abs=0.02)
