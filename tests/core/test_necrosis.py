"""Rates, grades and the reasons for having none (P30, P33, docs/algorithm.md#no-rate)."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.necrosis import (
    DEFINITIONS,
    FDDM,
    MIN_BED_MM2,
    STRICT,
    ClassAreas,
    NecrosisDefinition,
    beside,
    compute_rate,
    count_labels,
    find_definition,
    necrosis_report,
)

CELL_MM2 = 1.0  # every count is then well above the smallest bed


def areas(cell_mm2: float = CELL_MM2, **counts: int) -> ClassAreas:
    values = [counts.get("none", 0), *(counts.get(c.short, 0) for c in OSTEOSARCOMA)]
    return ClassAreas(tuple(values), cell_mm2)


cells = st.integers(0, 10**9)

beds = st.fixed_dictionaries(dict.fromkeys(("VT", "NC", "FH", "HC", "IF"), cells)).filter(
    lambda counts: sum(counts.values()) > 0
)


@given(beds, cells)
def test_p30_the_rate_is_the_share_of_the_bed_that_is_not_viable(bed: dict[str, int], glass: int):
    result = compute_rate(areas(BG=glass, **bed), FDDM)
    total = sum(bed.values())
    assert result.rate == pytest.approx(float(1 - Fraction(bed["VT"], total)), abs=1e-15)
    assert 0.0 <= result.rate <= 1.0
    assert result.reason == ""
    assert (result.rate == 1.0) == (bed["VT"] == 0)
    assert (result.rate == 0.0) == (bed["VT"] == total)
    assert result.numerator_mm2 == pytest.approx(total - bed["VT"])


@given(beds, cells, cells, cells)
def test_p30_what_lies_outside_the_bed_does_not_matter(
    bed: dict[str, int], background: int, unknown: int, normal: int
):
    normal = normal % (50 * sum(bed.values()))  # more than 99 % would give no rate at all
    plain = compute_rate(areas(**bed), FDDM)
    with_more = compute_rate(areas(BG=background, NT=normal, none=unknown, **bed), FDDM)
    assert with_more == plain


@given(beds, st.integers(2, 1000), st.floats(1e-6, 1e3))
def test_p30_the_rate_knows_no_scale(bed: dict[str, int], times: int, cell_mm2: float):
    plain = compute_rate(areas(**bed), FDDM)
    grown = compute_rate(areas(**{k: n * times for k, n in bed.items()}), FDDM)
    other_grid = compute_rate(areas(cell_mm2, **bed), FDDM, min_bed_mm2=0.0)
    assert grown.rate == plain.rate
    assert (other_grid.rate, other_grid.huvos) == (plain.rate, plain.huvos)


@given(beds)
def test_the_strict_rate_counts_necrosis_against_viable_tumor(bed: dict[str, int]):
    result = compute_rate(areas(**bed), STRICT)
    if bed["NC"] + bed["VT"] == 0:
        assert result.rate is None
        assert result.reason.startswith("no ")
        assert result.reason.endswith(" was found")
    else:
        assert result.rate == bed["NC"] / (bed["NC"] + bed["VT"])


def test_p30_the_ends():
    assert compute_rate(areas(VT=100), FDDM).rate == 0.0
    assert compute_rate(areas(HC=100), FDDM).rate == 1.0


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ({}, "nothing was analyzed"),
        ({"none": 1000}, "nothing was analyzed"),
        ({"BG": 10}, "no tumor bed"),
        ({"BG": 10, "NT": 10}, "no tumor bed"),
        ({"NT": 99, "VT": 1}, "non-tumor tissue is 99%"),
    ],
)
def test_p30_without_a_bed_there_is_no_rate_but_a_reason(counts: dict[str, int], reason: str):
    for definition in DEFINITIONS.values():
        result = compute_rate(areas(**counts), definition)
        assert (result.rate, result.huvos) == (None, None)
        assert reason in result.reason


def test_a_little_less_non_tumor_tissue_has_a_rate():
    assert compute_rate(areas(NT=989, VT=11), FDDM).rate == 0.0


def test_a_tiny_bed_gives_no_rate():
    cell = 16e-6  # 4 µm
    few = round(MIN_BED_MM2 / cell)
    small, large = (compute_rate(areas(cell, NC=n, BG=10**6), FDDM) for n in (few - 1, few))
    assert small.rate is None
    assert "below 0.01 mm²" in small.reason
    assert large.rate == 1.0
    assert compute_rate(areas(cell, NC=1), FDDM, min_bed_mm2=0.0).rate == 1.0


@pytest.mark.parametrize(
    ("percent", "grade"),
    [
        (0.0, "I"),
        (49.99, "I"),
        (50.0, "II"),
        (89.99, "II"),
        (90.0, "III"),
        (99.89, "III"),
        (99.9, "IV"),
        (100.0, "IV"),
    ],
)
def test_p33_the_edges_of_the_grades(percent: float, grade: str):
    assert FDDM.huvos(percent / 100) == grade


def test_p33_grade_four_can_be_made_exact():
    exact = replace(FDDM, epsilon=0.0)
    assert exact.huvos(0.999999) == "III"
    assert exact.huvos(1.0) == "IV"


@given(st.floats(0, 1), st.floats(0, 1))
def test_p33_a_higher_rate_never_has_a_lower_grade(a: float, b: float):
    grades = ["I", "II", "III", "IV"]
    low, high = (grades.index(FDDM.huvos(r)) for r in sorted((a, b)))
    assert low <= high


def test_definitions_are_named_and_checked():
    assert find_definition("strict") is STRICT
    with pytest.raises(ConfigError, match="'lax'") as caught:
        find_definition("lax")
    assert "fddm" in caught.value.hint
    with pytest.raises(ConfigError, match="numerator"):
        NecrosisDefinition("bad", "bad", ("NC", "NT"), ("NC", "VT"), "nowhere")
    with pytest.raises(ConfigError, match="numerator"):
        NecrosisDefinition("bad", "bad", (), ("NC", "VT"), "nowhere")


def test_viable_tumor_and_what_lies_outside_are_in_no_numerator():
    for definition in DEFINITIONS.values():
        assert not {"VT", "BG", "NT"} & set(definition.numerator)
        assert "VT" in definition.denominator
        assert not {"BG", "NT"} & set(definition.denominator)


labels_2d = st.binary(min_size=60, max_size=60).map(
    lambda raw: (np.frombuffer(raw, np.uint8) % 8).reshape(6, 10)
)


@given(labels_2d)
def test_areas_are_a_count_of_the_map(labels: np.ndarray):
    found = ClassAreas.from_labels(labels, 0.25)
    for tissue in OSTEOSARCOMA:
        assert found.mm2(tissue.short) == 0.25 * int((labels == tissue.value).sum())
    assert found.analyzed_mm2 == 0.25 * int((labels != 0).sum())
    assert sum(found.by_short().values()) == found.analyzed_mm2
    assert found == ClassAreas.from_counts(count_labels(labels, 7), 0.25)


def test_counting_refuses_values_that_are_no_class():
    with pytest.raises(ConfigError, match=r"\[8, 255\]"):
        count_labels(np.array([[1, 8], [255, 8]], np.uint8), 7)
    assert count_labels(np.zeros((0, 4), np.uint8), 7).tolist() == [0] * 8


def test_areas_need_a_count_per_class_and_a_size():
    with pytest.raises(ConfigError, match="8 counts"):
        ClassAreas((1, 2, 3), 1.0)
    with pytest.raises(ConfigError, match="8 counts"):
        areas(VT=-1)
    for bad in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="area above 0"):
            areas(bad)


def test_the_report_shows_every_definition_and_the_chosen_one_first():
    counts = areas(VT=20, NC=30, FH=50, NT=7, BG=3)
    report = necrosis_report(counts, definition="strict", coverage=0.5, edited=0.1)
    assert [r.definition.name for r in report.results] == ["strict", "fddm"]
    shown = json.loads(json.dumps(report.to_json()))
    assert (shown["definition"], shown["rate"], shown["huvos"]) == ("strict", 0.6, "II")
    assert shown["definitions"]["fddm"]["rate"] == 0.8
    assert (shown["coverage"], shown["edited"]) == (0.5, 0.1)
    assert shown["areas_mm2"] == {"BG": 3, "VT": 20, "NC": 30, "FH": 50, "HC": 0, "IF": 0, "NT": 7}
    with pytest.raises(ConfigError, match="'lax'"):
        necrosis_report(counts, definition="lax")


def test_a_report_without_a_rate_says_why():
    shown = necrosis_report(areas(none=5)).to_json()
    assert (shown["rate"], shown["huvos"]) == (None, None)
    assert shown["reason"] == "nothing was analyzed"


def test_a_definition_without_its_classes_says_which_it_missed():
    areas = ClassAreas.from_counts([0, 0, 0, 0, 500, 0, 0, 0], 1.0)
    assert compute_rate(areas, FDDM).rate == 1.0
    assert compute_rate(areas, STRICT).reason == "no viable tumor or necrosis was found"


def test_a_label_map_is_as_good_as_its_areas():
    labels = np.random.default_rng(3).integers(0, 8, (50, 70)).astype(np.uint8)
    counted = necrosis_report(ClassAreas.from_labels(labels, (4.0 / 1000) ** 2))
    assert necrosis_report(labels, mpp=4.0) == counted


@pytest.mark.parametrize(
    ("labels", "mpp", "words"),
    [
        (np.ones((4, 4), np.uint8), None, "micrometers per cell"),
        (np.ones((4, 4), np.uint8), 0.0, "above 0 mm²"),
        (np.ones((4, 4), np.uint8), float("nan"), "above 0 mm²"),
        (np.ones((4, 4), np.int64), 4.0, "int64"),
        (np.ones((4, 4, 3), np.uint8), 4.0, "two-dimensional"),
        (np.full((4, 4), 8, np.uint8), 4.0, r"\[8\]"),
    ],
)
def test_what_is_no_label_map_is_refused(labels: np.ndarray, mpp: float | None, words: str):
    with pytest.raises(ConfigError) as caught:
        necrosis_report(labels, mpp=mpp)
    assert re.search(words, str(caught.value))


def test_every_result_carries_the_formula_that_made_it():
    counts = areas(VT=20, NC=30, FH=50)
    for shown in necrosis_report(counts).to_json()["definitions"].values():
        # the formula is arithmetic over class abbreviations: work it out
        value = eval(shown["formula"], {}, counts.by_short())  # noqa: S307 - our own text
        assert shown["rate"] == pytest.approx(value)
        assert shown["title"]
        assert shown["source"]
        assert len(shown["huvos_cutoffs"]) == 2


@pytest.mark.parametrize(
    ("value", "limits", "digits", "per", "shown"),
    [
        (0.00996, (0.01,), 4, 1, "0.00996"),
        (0.0099999, (0.01,), 4, 1, "0.0099999"),
        (0.01, (0.01,), 4, 1, "0.0100"),
        (0.0000001, (0.01, 0.0), 4, 1, "0.0000001"),
        (0.8996, (0.5, 0.9, 0.999), 1, 100, "89.96"),
        (0.9, (0.5, 0.9, 0.999), 1, 100, "90.0"),
        (0.99899, (0.5, 0.9, 0.999), 1, 100, "99.899"),
        (0.7, (0.5, 0.9, 0.999), 1, 100, "70.0"),
        (0.9974, (1.0,), 0, 100, "99.7"),
        (1.0, (1.0,), 0, 100, "100"),
    ],
)
def test_a_number_beside_a_limit_has_the_digits_that_tell_its_side(
    value, limits, digits, per, shown
):
    assert beside(value, *limits, digits=digits, per=per) == shown


def test_a_bed_just_below_the_limit_is_not_shown_as_the_limit():
    areas = ClassAreas.from_counts([0, 0, 0, 249, 0, 0, 0, 0], 4e-5)  # 0.00996 mm²
    reason = compute_rate(areas, STRICT).reason
    assert reason == "VT + NC has 0.00996 mm², too little (below 0.01 mm²)"
