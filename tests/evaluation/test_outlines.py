"""Outlines as truth: drawn on the prediction's grid, and all that is left out is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import ConfigError, DataError
from napari_fddm.core.geometry import MapGeometry
from napari_fddm.evaluation.grids import Grid
from napari_fddm.evaluation.outlines import read_outline_input
from napari_fddm.evaluation.pairs import Pair, find_pairs
from napari_fddm.evaluation.reading import LabelInput, ReadingSettings
from napari_fddm.evaluation.slides import SlideSettings, evaluate_slide
from tests.support.evaluating import NC, VT, save
from tests.support.foreign_labels import feature, square, write_outlines

if TYPE_CHECKING:
    from pathlib import Path

MAP = MapGeometry((50, 80), 8.0, 0.5)  # 400 × 640 px
ONTO = LabelInput("p", np.ones(MAP.shape, np.uint8), Grid(MAP.shape, MAP), level0=True)
SLIDE = "synthetic:400x640?seed=1&mpp=0.5"
PLAIN = ReadingSettings()


def test_outlines_are_drawn_in_their_order_and_ignored_ones_hide(tmp_path: Path):
    path = write_outlines(
        tmp_path / "a.geojson",
        feature("Ignore*", square(0, 0, 80)),
        feature("viable tumor", square(0, 0, 320), square(160, 160, 80)),
        feature("NC", square(240, 0, 80)),
        feature(None, square(0, 560, 80)),
        feature("VT", square(4000, 0, 80)),
    )
    found = read_outline_input(str(path), PLAIN, ONTO)
    expected = np.zeros(MAP.shape, np.uint8)
    expected[:40, :40] = VT
    expected[20:30, 20:30] = 0
    expected[30:40, :10] = NC
    expected[:10, :10] = 0
    assert np.array_equal(found.labels, expected)
    assert found.notes == (
        "a.geojson: 1 outline 'Ignore*' left out, with all under it",
        "a.geojson: 1 annotation without a class left out",
        "a.geojson: 1 of 4 outlines lie outside the slide",
    )


def test_unknown_classes_are_counted_and_left_out_only_on_request(tmp_path: Path):
    path = write_outlines(
        tmp_path / "a.geojson",
        feature("VT", square(0, 0, 80)),
        *[feature("Osteoid", square(80 * n, 0, 80)) for n in (1, 2)],
    )
    with pytest.raises(DataError, match=r"'Osteoid' \(2\)") as caught:
        read_outline_input(str(path), PLAIN, ONTO)
    assert "--unknown leave-out" in caught.value.hint
    found = read_outline_input(str(path), ReadingSettings(leave_out=True), ONTO)
    assert np.count_nonzero(found.labels) == 100
    assert found.notes == ("a.geojson: 2 outlines 'Osteoid' left out",)
    assert found.to_json()["left_out"] == {"Osteoid": 2}


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ([feature("VT", square(4000, 0, 80))], "outside the slide of 640 × 400 px"),
        ([feature(None, square(0, 0, 80))], "no outline with a class"),
        ([feature("Ignore*", square(0, 0, 80))], "no outline with a class"),
    ],
)
def test_a_truth_that_says_nothing_is_an_error(tmp_path: Path, features, words):
    path = write_outlines(tmp_path / "a.geojson", *features)
    with pytest.raises(DataError, match=words):
        read_outline_input(str(path), PLAIN, ONTO)


def test_outlines_need_a_map_that_knows_the_slides_pixels(tmp_path: Path):
    path = write_outlines(tmp_path / "a.geojson", feature("VT", square(0, 0, 80)))
    picture = save(tmp_path / "p.png", np.full((40, 64), VT))
    for pred, words in ((picture, "does not say where it lies"), (path, "both outlines")):
        with pytest.raises(ConfigError, match=words):
            evaluate_slide(Pair("s", "c", str(pred), str(path)), SlideSettings())


def test_outlines_are_truth_or_prediction_and_their_area_is_exact(tmp_path: Path):
    path = write_outlines(tmp_path / "a.geojson", feature("VT", square(80, 160, 160)))
    found = evaluate_slide(Pair("s", "c", SLIDE, str(path)), SlideSettings(calibration=False))
    areas = found.confusion.true_areas(found.cell_mm2).by_short()
    assert areas["VT"] == pytest.approx((160 * 0.5 / 1000) ** 2)
    rest = 50 * 80 - 400
    assert any(f"{rest} cells" in note and "no class in the truth" in note for note in found.notes)
    turned = evaluate_slide(Pair("s", "c", str(path), SLIDE), SlideSettings(calibration=False))
    assert np.array_equal(turned.confusion.counts, found.confusion.counts.T)


def test_a_folder_of_outlines_finds_its_partners(tmp_path: Path):
    for folder, name in (("pred", "a.png"), ("pred", "b.png")):
        save(tmp_path / folder / name, np.full((40, 64), VT))
    (tmp_path / "truth").mkdir()
    for name in ("a.geojson", "b.geojson.gz"):
        (tmp_path / "truth" / name).write_text("{}")
    (tmp_path / "truth" / "settings.json").write_text("{}")
    pairs = find_pairs(str(tmp_path / "pred"), str(tmp_path / "truth")).pairs
    assert [pair.slide for pair in pairs] == ["a", "b"]


def test_outlines_serve_as_the_area_that_is_scored(tmp_path: Path):
    from napari_fddm.evaluation.metrics import MetricSettings

    tissue = write_outlines(tmp_path / "a.geojson", feature("anything", square(0, 0, 80)))
    truth = write_outlines(tmp_path / "t.geojson", feature("VT", square(0, 0, 320)))
    pair = Pair("s", "c", SLIDE, str(truth), tissue=str(tissue))
    settings = SlideSettings(MetricSettings(mask="tissue"), calibration=False)
    assert evaluate_slide(pair, settings).confusion.counts.sum() == 100
    assert OSTEOSARCOMA["VT"].value == VT
