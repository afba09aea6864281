"""The arithmetic of the science benchmarks, on maps and counts whose scores are known."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from benchmarks.science_classification import by_slide, folds_of, measure
from benchmarks.science_classification_table import COLOR, NAMES, accuracy, interval, pooled
from benchmarks.science_classification_table import tables as classification_tables
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
from benchmarks.science_spreading import METHODS, corrected, dabs, real_errors, swapped_areas
from benchmarks.science_spreading import score as score_spreading
from benchmarks.science_spreading import tables as spreading_tables
from benchmarks.science_table import tables

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.training.data.textures import Texture
from napari_fddm.training.loop import RunLog
from napari_fddm.training.regions import RegionSlide
from napari_fddm.training.regions.files import RegionMeta
from napari_fddm.training.stage1 import Stage1Settings, held_out
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


def confusion_of(**counts):
    matrix = np.zeros((7, 7), np.int64)
    for pair, count in counts.items():
        true, said = pair.split("_")
        matrix[OSTEOSARCOMA[true].value - 1, OSTEOSARCOMA[said].value - 1] = count
    return matrix


def judged(slide, **counts):
    confusion = confusion_of(**counts).tolist()
    return {"slide": slide, "patient": slide[0], "confusion": confusion}


SLIDES = (
    [judged("A/1", VT_VT=8, VT_NC=2), judged("A/2", NT_NT=10)],
    [judged("B/1", NC_NC=5, NC_NT=5), judged("B/2", NT_NT=9, NT_VT=1)],
)


def lines_of(method, split="patient", **more):
    return [
        {"split": split, "fold": n, "method": method, "slides": slides} | more
        for n, slides in enumerate(SLIDES)
    ]


def test_the_classification_table_pools_folds_and_tells_classes_and_patients_apart():
    lines = [*lines_of("lora", seconds=3.0), *lines_of(COLOR), *lines_of("frozen", seconds=2.0)]
    text = list(classification_tables(lines))
    assert "40 patches of 4 slides of 2 patients, 2 folds." in text
    rows = [line.strip("| ").split(" | ") for line in text if line.startswith("| ")]
    assert [row[0] for row in rows[1:]] == [NAMES[m] for m in (COLOR, "frozen", "lora")]
    shown = dict(zip(rows[0], rows[3], strict=True))
    assert shown["balanced accuracy, % [95 %]"].startswith("75.0 [")
    assert shown["against frozen features [95 %]"] == "+0.0 [+0.0, +0.0]"
    recall = [shown[f"recall {name}, %"] for name in ("VT", "NC", "NT")]
    assert recall == ["80.0", "50.0", "95.0"]
    assert (shown["accuracy A, %"], shown["accuracy B, %"]) == ("90.0", "70.0")
    assert shown["s of training per fold"] == "3"


def test_what_is_not_measured_to_its_end_is_not_shown():
    lines = [*lines_of("frozen", "slide", seconds=1.0), lines_of("lora", "slide", seconds=1.0)[0]]
    text = list(classification_tables(lines))
    assert not any(line.startswith(f"| {NAMES['lora']}") for line in text)
    assert text[-1].startswith("Not measured to the end yet: ")
    assert NAMES["lora"] in text[-1]
    assert NAMES["frozen"] not in text[-1].split(": ")[1].split("; ")
    assert sum(line.startswith("### By slide") for line in text) == 1
    assert not any(line.startswith("### By patient") for line in text)


def test_the_interval_of_equal_slides_is_a_point_and_of_unequal_ones_around_the_mean():
    same = [judged(f"A/{n}", VT_VT=3, NT_VT=1, NT_NT=3, NC_NC=4) for n in range(5)]
    assert interval(same) == pytest.approx((100 * (1 + 0.75 + 1) / 3,) * 2)
    unequal = [*same, judged("A/9", VT_NT=3, NT_NT=4, NC_VT=4)]
    low, high = interval(unequal)
    assert low < 100 * np.mean([15 / 18, 19 / 24, 20 / 24]) < high
    assert accuracy(pooled(unequal)) == pytest.approx(54 / 66)


TILES = [
    Texture(Path(f"{case}{n}.png"), value, case, f"{case}/{n}")
    for case, value in (("A", 2), ("B", 3), ("C", 7))
    for n in range(3)
]


def test_no_fold_learns_from_the_patient_or_the_slide_that_it_judges():
    folds = folds_of(TILES)
    assert [(f.split, f.number) for f in folds] == list(product(("patient", "slide"), range(3)))
    for fold in folds:
        rows = held_out.real_rows(fold.tiles, test=fold.judged, by="slide")
        assert {row["split"] for row in rows} == {"train", "test"}  # nothing to choose weights by
        patient_of = {t.slide: t.case for t in fold.tiles}
        sides = {s: {str(r["case"]) for r in rows if r["split"] == s} for s in ("train", "test")}
        assert not sides["train"] & sides["test"]
        if fold.split == "patient":
            assert not {patient_of[s] for s in sides["train"]} & {
                patient_of[s] for s in sides["test"]
            }


def test_what_is_in_the_results_is_not_measured_again(tmp_path):
    fold = folds_of(TILES)[1]
    scores = {"cases": {"B/0": {"confusion": confusion_of(NC_NC=2).tolist()}}}
    slides = by_slide(scores, fold)
    assert slides == [judged("B/0", NC_NC=2)]
    results = RunLog(tmp_path / "results.jsonl")
    results.append(**fold.key("frozen"), slides=slides, seconds=1.0)
    before = results.path.read_text()
    measure(tmp_path, results, fold, "frozen", Stage1Settings())
    assert results.path.read_text() == before
    assert list(tmp_path.iterdir()) == [results.path]


def test_a_section_is_put_between_its_markers_and_nothing_else_changes(tmp_path):
    page = tmp_path / "p.md"
    page.write_text("a\n<!-- x -->\nold\n<!-- end of x -->\nb\n")
    write_section("x", ["new", "two"], write=False, page=page)
    assert "old" in page.read_text()
    write_section("x", ["new", "two"], write=True, page=page)
    assert page.read_text() == "a\n<!-- x -->\nnew\ntwo\n<!-- end of x -->\nb\n"


# Spreading ----------------------------------------------------------------------


def window_of_halves() -> RegionSlide:
    """A sure stage 1 on viable tumor, left, and necrosis, right, which also look different."""
    truth = halves(40, side=64)
    coarse = coded_slide(np.random.default_rng(0), (8, 8)).coarse
    cells = 0.9 * one_hot(truth.astype(int) - 1) + 0.1 / 7
    looks = np.repeat((0.2 + 0.5 * (truth == 3))[None], 6, axis=0)
    noise = np.random.default_rng(1).normal(0, 0.01, looks.shape)
    coarse = replace(
        coarse, cells=cells.astype(np.float16), features=(looks + noise).astype(np.float16)
    )
    return RegionSlide(RegionMeta(slide="s", case="c"), coarse, truth)


def test_an_area_has_the_probabilities_of_another_class_and_strokes_on_a_part_of_it():
    slide = window_of_halves()
    tasks = list(swapped_areas(slide, np.random.default_rng(0)))
    assert [int(slide.truth[task.area].max()) for task in tasks] == [2, 3]
    for task in tasks:
        right = task.source.argmax(axis=0) + 1 == slide.truth
        assert not right[task.area].any()
        assert right[~task.area].all()
        painted = task.strokes > 0
        assert (task.strokes[painted] == slide.truth[painted]).all()
        assert 0.005 < painted.sum() / task.area.sum() < 0.025  # whole dabs
        assert not (painted & ~task.area).any()


def test_spreading_mends_the_area_and_strokes_alone_do_not():
    slide = window_of_halves()
    task = next(swapped_areas(slide, np.random.default_rng(0)))
    alone, spread = (
        score_spreading(task, corrected(method, task, slide, None), slide)
        for method in ("nothing", "spread")
    )
    assert alone["area"][0] == 0
    assert spread["area"][0] > 0.9 * spread["area"][1] > 0
    assert alone["outside"] == [task.area.size - task.area.sum()] * 2


def test_real_errors_are_painted_with_the_truth():
    slide = window_of_halves()
    wrong = np.array(slide.coarse.cells)
    wrong[:, :8] = one_hot(np.full((8, 64), 4)).astype(np.float16)
    slide = RegionSlide(slide.meta, replace(slide.coarse, cells=wrong), slide.truth)
    (task,) = real_errors(slide, np.random.default_rng(0))
    painted = task.strokes > 0
    assert painted[:9].any()
    assert not painted[9:].any()
    assert (task.strokes[painted] == slide.truth[painted]).all()


def test_dabs_are_as_many_as_the_share_needs():
    made = dabs(np.ones((100, 100), bool), np.random.default_rng(0))
    assert 0.017 < made.mean() <= 0.02
    assert dabs(np.eye(4, dtype=bool), np.random.default_rng(0)).any()


def test_the_spreading_table_has_a_row_for_every_method():
    lines = [
        {
            "dataset": "synthetic",
            "slide": f"s{i}",
            "method": method,
            "area": [25 * rank, 100],
            "outside": [90 - rank, 100],
            "painted": [2, 100],
        }
        for i in range(3)
        for rank, method in enumerate(METHODS)
    ]
    text = "\n".join(spreading_tables(lines))
    assert "3 areas of 3 slides; 2.0 % of their cells painted." in text
    assert "| strokes alone | 0.0 |  | 90.0 |  |" in text
    assert "| spread | 50.0 | +50.0 [+50.0, +50.0] | 88.0 | -2.0 [-2.0, -2.0] |" in text
