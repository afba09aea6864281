"""The refinement benchmark's arithmetic, on maps whose scores are known."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.science_scores import (
    bootstrap_difference,
    boundary_f,
    boundary_hits,
    edges,
    mean_iou,
    rate_error,
    score,
)
from benchmarks.science_table import tables

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.training.region_data import RegionMeta, RegionSlide
from tests.support.regions import coded_slide, one_hot


def halves(at, side=32):
    """Return viable tumor left of a column and necrosis right of it."""
    labels = np.full((side, side), OSTEOSARCOMA["VT"].value, np.uint8)
    labels[:, at:] = OSTEOSARCOMA["NC"].value
    return labels


def scored(said, truth):
    coarse = coded_slide(np.random.default_rng(0), (4, 4)).coarse
    slide = RegionSlide(RegionMeta(slide="s", case="c"), coarse, truth)
    return score(one_hot(said.astype(int) - 1).astype(np.float32), slide)


def test_a_perfect_map_scores_100():
    result = [scored(halves(16), halves(16))]
    assert mean_iou(result) == boundary_f(result) == pytest.approx(100)
    assert rate_error(result) == 0


@pytest.mark.parametrize("shift", [1, 2, 8])
def test_a_shifted_boundary_costs_what_it_must(shift):
    result = [scored(halves(16 + shift), halves(16))]
    viable, necrotic = 16 / (16 + shift), (16 - shift) / 16
    assert mean_iou(result) == pytest.approx(100 * (viable + necrotic) / 2)
    assert rate_error(result) == pytest.approx(100 * shift / 32)
    assert boundary_f(result) == pytest.approx(100 if shift <= 1 else 0, abs=1e-6)


def test_cells_without_truth_count_nowhere():
    truth = halves(16)
    truth[:, 20:] = 0
    said = halves(16)
    said[:, 24:] = OSTEOSARCOMA["NT"].value  # wrong where nobody knows
    result = [scored(said, truth)]
    assert mean_iou(result) == boundary_f(result) == pytest.approx(100)
    assert np.sum(result[0]["confusion"]) == 32 * 20


def test_edges_lie_between_unlike_neighbors():
    found = edges(halves(16))
    assert found[:, 15].all()
    assert found.sum() == 32
    assert boundary_hits(halves(32), halves(32)) == [0, 0, 0, 0]


def test_the_interval_of_equal_methods_is_zero_and_of_a_better_one_above_it():
    rng = np.random.default_rng(0)
    good = {str(i): [scored(halves(16), halves(16))] for i in range(6)}
    bad = {str(i): [scored(halves(int(rng.integers(18, 26))), halves(16))] for i in range(6)}
    assert bootstrap_difference(good, good, mean_iou) == (0, 0, 0)
    middle, low, high = bootstrap_difference(good, bad, mean_iou)
    assert 0 < low <= middle <= high
    flat = [s for part in bad.values() for s in part]
    assert middle == pytest.approx(100 - mean_iou(flat))


def test_a_method_measured_on_some_slides_is_compared_on_these():
    lines = [{"training": "bridge", "steps": 10, "seconds": 120.0}]
    for i, at in enumerate((17, 24)):
        base = {"dataset": "synthetic", "slide": f"s{i}", "case": f"c{i}", "seconds": 0.1}
        lines.append(base | {"method": "bilinear"} | scored(halves(at), halves(16)))
        if i == 0:
            lines.append(base | {"method": "overlap"} | scored(halves(16), halves(16)))
    text = "\n".join(tables(lines))
    assert "`bridge`: 10 steps, 2 min" in text
    (row,) = [line for line in text.splitlines() if "every 128 px" in line]
    gain = 100 - mean_iou([scored(halves(17), halves(16))])
    assert f"(1 slides) | 100.0 | +{gain:.1f}" in row
