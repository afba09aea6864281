"""The refinement benchmark's arithmetic, on maps whose scores are known."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.science_classification import COLOR, interval
from benchmarks.science_classification import tables as classification_tables
from benchmarks.science_page import write_section
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


def fold_of(*pairs, seconds=2.0):
    """Return what a card says of a fold: a confusion for each case."""
    cases = {f"case-{n}": {"confusion": m.tolist()} for n, m in enumerate(pairs)}
    total = {"confusion": sum(pairs).tolist(), "cases": cases}
    return {"model": total, "color alone": total, "seconds": seconds}


def confusion_of(**counts):
    matrix = np.zeros((7, 7), np.int64)
    for pair, count in counts.items():
        true, said = pair.split("_")
        matrix[OSTEOSARCOMA[true].value - 1, OSTEOSARCOMA[said].value - 1] = count
    return matrix


def test_the_classification_table_pools_folds_and_gives_intervals_over_slides_only():
    folds = [
        fold_of(confusion_of(VT_VT=8, VT_NC=2, NT_NT=10)),
        fold_of(confusion_of(NC_NC=5, NC_NT=5, NT_NT=10), seconds=4.0),
    ]
    lines = classification_tables({"patient": {"heads": folds}, "slide": {"heads": folds}})
    by_patient, by_slide = [line for line in lines if line.startswith("| heads")]
    assert by_patient == "| heads | 76.7 | 80.0 | 50.0 | 100.0 | 3 |"
    assert by_slide.startswith("| heads | 76.7 [")
    assert sum(line.startswith(f"| {COLOR}") for line in lines) == 2


def test_the_interval_of_equal_slides_is_a_point():
    same = [fold_of(*[confusion_of(VT_VT=3, NT_VT=1, NT_NT=3, NC_NC=4)] * 5)]
    low, high = interval(same, "model")
    assert low == high == pytest.approx(100 * (1 + 0.75 + 1) / 3)


def test_a_section_is_put_between_its_markers_and_nothing_else_changes(tmp_path):
    page = tmp_path / "p.md"
    page.write_text("a\n<!-- x -->\nold\n<!-- end of x -->\nb\n")
    write_section("x", ["new", "two"], write=False, page=page)
    assert "old" in page.read_text()
    write_section("x", ["new", "two"], write=True, page=page)
    assert page.read_text() == "a\n<!-- x -->\nnew\ntwo\n<!-- end of x -->\nb\n"
