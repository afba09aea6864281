"""Scores from one confusion matrix: P29, P30 and P32 of docs/algorithm.md."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fddm.core.classes import OSTEOSARCOMA, ClassTable
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.necrosis import FDDM, compute_rate
from napari_fddm.evaluation.confusion import Area, Confusion
from napari_fddm.evaluation.metrics import FDDM_PAPER, MetricSettings, score_slides

N = len(OSTEOSARCOMA)
BG, VT, NC, FH, HC, IF, NT = range(N)

matrices = st.lists(st.integers(0, 50), min_size=N * N, max_size=N * N).map(
    lambda values: np.array(values, np.int64).reshape(N, N)
)
maps = st.binary(min_size=80, max_size=80).map(
    lambda raw: (np.frombuffer(raw, np.uint8) % (N + 1)).reshape(8, 10)
)


def demo() -> Confusion:
    """The slide of docs/algorithm.md#scores: BG, VT and NT only."""
    counts = np.zeros((N, N), np.int64)
    counts[BG, BG] = 100
    counts[VT, VT], counts[VT, NT] = 10, 40
    counts[NT, NT], counts[NT, VT] = 30, 20
    return Confusion(counts)


ONE_CLASS = ClassTable((OSTEOSARCOMA["BG"],))


def slow_counts(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    counts = np.zeros((N, N), np.int64)
    for true, said in zip(truth.ravel(), predicted.ravel(), strict=True):
        if true and said:
            counts[true - 1, said - 1] += 1
    return counts


def slow_scores(truth: np.ndarray, predicted: np.ndarray, value: int) -> tuple[float, ...]:
    both = (truth != 0) & (predicted != 0)
    true, said = (truth == value) & both, (predicted == value) & both
    hits = (true & said).sum()
    return tuple(
        hits / below if below else math.nan
        for below in ((true | said).sum(), said.sum(), true.sum())
    )


@given(maps, maps)
def test_every_score_is_that_of_the_cells(truth: np.ndarray, predicted: np.ndarray):
    found = Confusion.from_labels(truth, predicted)
    assert np.array_equal(found.counts, slow_counts(truth, predicted))
    for value in OSTEOSARCOMA.values:
        expected = slow_scores(truth, predicted, value)
        shown = [scores[value - 1] for scores in (found.iou(), found.precision(), found.recall())]
        np.testing.assert_allclose(shown, expected)


@given(matrices, st.permutations(range(N)))
def test_p29_the_order_of_the_classes_does_not_matter(counts: np.ndarray, order: list[int]):
    plain = Confusion(counts)
    turned = Confusion(counts[np.ix_(order, order)])
    for name in ("iou", "dice", "precision", "recall"):
        np.testing.assert_array_equal(getattr(plain, name)()[order], getattr(turned, name)())
    with_bg = MetricSettings(include_bg=True)
    assert score_slides([turned], with_bg).mean_iou == pytest.approx(
        score_slides([plain], with_bg).mean_iou, nan_ok=True
    )


@given(maps)
def test_p29_a_perfect_prediction_scores_one_or_nothing(truth: np.ndarray):
    perfect = Confusion.from_labels(truth, truth)
    present = np.array([(truth == value).any() for value in OSTEOSARCOMA.values])
    for scores in (perfect.iou(), perfect.precision(), perfect.recall()):
        assert (scores[present] == 1.0).all()
        assert np.isnan(scores[~present]).all()
    for settings in (MetricSettings(include_bg=True), replace(FDDM_PAPER, aggregate="pooled")):
        if present.any():
            assert score_slides([perfect], settings).mean_iou == 1.0


def test_p29_nothing_to_score_is_nan_and_not_one():
    empty = Confusion(np.zeros((N, N), np.int64))
    assert math.isnan(score_slides([empty]).mean_iou)
    assert math.isnan(score_slides([empty, empty], MetricSettings("per_slide")).mean_recall)


def test_p32_the_papers_preset_gives_the_papers_numbers():
    paper = score_slides([demo()], FDDM_PAPER)
    assert paper.mean_iou == pytest.approx(0.7823, abs=5e-5)
    assert paper.mean_precision == pytest.approx(0.8231, abs=5e-5)
    assert paper.mean_recall == pytest.approx(0.8286, abs=5e-5)


def test_p32_without_its_flattery_the_same_slide_scores_less():
    present = score_slides([demo()], MetricSettings(include_bg=True))
    assert present.mean_iou == pytest.approx(0.4921, abs=5e-5)
    assert score_slides([demo()]).mean_iou == pytest.approx(0.2381, abs=5e-5)


def test_p32_the_annotation_mask_hides_what_lies_outside():
    truth = np.array([[1, 2, 2, 0, 7]], np.uint8)
    predicted = np.array([[3, 2, 7, 4, 0]], np.uint8)
    hidden = Confusion.from_labels(truth, predicted, area=Area("annotation")).counts
    assert hidden[BG, BG] == 2  # the necrosis on glass and the fibrosis off the annotation
    assert (hidden[VT, VT], hidden[VT, NT], hidden.sum()) == (1, 1, 4)
    honest = Confusion.from_labels(truth, predicted).counts
    assert (honest[BG, NC], honest[VT, VT], honest[VT, NT], honest.sum()) == (1, 1, 1, 3)


@given(maps, maps, maps)
def test_only_tissue_counts_where_that_is_wanted(
    truth: np.ndarray, predicted: np.ndarray, other: np.ndarray
):
    tissue = other % 2 == 0
    masked = Confusion.from_labels(truth, predicted, area=Area("tissue", tissue))
    cut = Confusion.from_labels(np.where(tissue, truth, 0).astype(np.uint8), predicted)
    assert np.array_equal(masked.counts, cut.counts)


@given(st.lists(matrices, min_size=1, max_size=4))
def test_pooled_scores_are_those_of_one_large_slide(counts: list[np.ndarray]):
    pooled = score_slides([Confusion(c) for c in counts])
    large = score_slides([Confusion(sum(counts))])
    np.testing.assert_array_equal(pooled.iou, large.iou)
    assert pooled.mean_iou == pytest.approx(large.mean_iou, nan_ok=True)


def test_each_slide_counts_alike_only_per_slide():
    good, bad = np.zeros((N, N), np.int64), np.zeros((N, N), np.int64)
    good[VT, VT], bad[VT, NC] = 9, 1
    slides = [Confusion(good), Confusion(bad)]
    assert score_slides(slides).recall[VT] == pytest.approx(0.9)
    assert score_slides(slides, MetricSettings("per_slide")).recall[VT] == pytest.approx(0.5)


@given(matrices)
def test_dice_follows_from_iou(counts: np.ndarray):
    iou = Confusion(counts).iou()
    np.testing.assert_allclose(Confusion(counts).dice(), 2 * iou / (1 + iou))


@given(maps, maps, maps)
def test_a_drawn_annotation_takes_the_place_of_the_truth_s(
    truth: np.ndarray, predicted: np.ndarray, other: np.ndarray
):
    inside = other % 2 == 0
    found = Confusion.from_labels(truth, predicted, area=Area("annotation", annotation=inside))
    true, said = (np.where(inside, m, 1).astype(np.uint8) for m in (truth, predicted))
    assert np.array_equal(found.counts, slow_counts(true, said))
    assert np.array_equal(
        Area("annotation", annotation=inside).scored(truth, predicted),
        inside & (truth != 0) & (predicted != 0),
    )


@given(matrices)
def test_p30_rates_follow_from_the_margins(counts: np.ndarray):
    confusion = Confusion(counts)
    for areas, cells in (
        (confusion.true_areas(1.0), counts.sum(axis=1)),
        (confusion.predicted_areas(1.0), counts.sum(axis=0)),
    ):
        rate = compute_rate(areas, FDDM).rate
        bed = cells[VT : IF + 1].sum()
        if rate is None:
            assert bed == 0 or cells[NT] >= 0.99 * (bed + cells[NT])
        else:
            assert rate == pytest.approx(1 - cells[VT] / bed)


def test_share_errors_leave_background_out():
    truth, said = np.array([[1, 1, 2, 3]], np.uint8), np.array([[1, 2, 2, 2]], np.uint8)
    errors = Confusion.from_labels(truth, said).share_errors()
    assert math.isnan(errors[BG])
    assert errors[VT] == pytest.approx(0.5)  # 3 of 3 against 1 of 2
    assert errors[NC] == pytest.approx(0.5)
    assert errors[NT] == 0.0


def test_what_does_not_fit_is_refused():
    some = np.ones((2, 2), np.uint8)
    with pytest.raises(ConfigError, match="do not match"):
        Confusion.from_labels(some, np.ones((2, 3), np.uint8))
    with pytest.raises(ConfigError, match="beyond the 7 classes"):
        Confusion.from_labels(some, some * 8)
    for arguments in (("tissue",), ("none", some > 0), ("tissue", some > 0, some > 0)):
        with pytest.raises(ConfigError, match="belongs to"):
            Area(*arguments)
    with pytest.raises(ConfigError, match="does not match"):
        Confusion.from_labels(some, some, area=Area("tissue", np.ones((2, 3), bool)))
    with pytest.raises(ConfigError, match="different classes"):
        Confusion(np.ones((N, N), np.int64)) + Confusion(np.ones((1, 1), np.int64), ONE_CLASS)
    for wrong in (np.zeros((3, 3), np.int64), np.zeros((N, N)), np.full((N, N), -1)):
        with pytest.raises(ConfigError, match="7 × 7"):
            Confusion(wrong)
    with pytest.raises(ConfigError, match="no slide"):
        score_slides([])
