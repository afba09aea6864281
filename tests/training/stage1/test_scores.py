"""Scores of tiles: by hand, and of classes that are there alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_fddm.training.stage1.scores import (
    balanced_accuracy,
    confusion,
    mean_iou,
    scores_by_case,
)

TRUTH = np.array([0, 0, 0, 0, 1, 1])
PREDICTED = np.array([0, 0, 0, 2, 1, 0])
CASES = np.array(["a", "a", "b", "b", "b", "b"])


def test_rows_are_true_and_columns_predicted():
    assert confusion(TRUTH, PREDICTED, 3).tolist() == [[3, 0, 1], [1, 1, 0], [0, 0, 0]]


def test_means_are_over_the_classes_that_are_there():
    matrix = confusion(TRUTH, PREDICTED, 3)
    assert balanced_accuracy(matrix) == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert mean_iou(matrix) == pytest.approx((3 / 5 + 1 / 2) / 2)


def test_without_a_class_there_is_no_score():
    nothing = np.zeros((3, 3), np.int64)
    assert math.isnan(balanced_accuracy(nothing))
    assert math.isnan(mean_iou(nothing))


def test_each_case_is_told_beside_all_of_them():
    found = scores_by_case(TRUTH, PREDICTED, CASES, ["VT", "NC", "FH"])
    assert found["tiles"] == 6
    assert found["accuracy"] == pytest.approx(4 / 6, abs=1e-4)
    assert found["recall"] == {"VT": 0.75, "NC": 0.5}
    assert set(found["cases"]) == {"a", "b"}
    assert found["cases"]["a"]["recall"] == {"VT": 1.0}
    sums = sum(np.array(case["confusion"]) for case in found["cases"].values())
    assert sums.tolist() == found["confusion"]
