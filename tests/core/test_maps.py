from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import MapGeometry, Window
from napari_fddm.core.maps import LabelMap, ProbabilityMap

GEOMETRY = MapGeometry((6, 5), 32.0, 1.0)
MODEL, PERSON, NEWER = (
    np.random.default_rng(s).integers(0, 8, GEOMETRY.shape).astype(np.uint8) for s in range(3)
)


def test_labels_are_the_likeliest_class_where_a_model_looked():
    rng = np.random.default_rng(3)
    probs = rng.dirichlet(np.ones(7), GEOMETRY.shape).transpose(2, 0, 1).astype(np.float16)
    coverage = rng.random(GEOMETRY.shape) < 0.5
    labels = ProbabilityMap(probs, coverage, GEOMETRY).labels
    assert labels.dtype == np.uint8
    for place in np.ndindex(GEOMETRY.shape):
        expected = max(range(7), key=lambda c: probs[(c, *place)]) + 1 if coverage[place] else 0
        assert labels[place] == expected


def test_arrays_must_fit_their_place():
    probs, coverage = np.zeros((7, 6, 5), np.float32), np.zeros((6, 5), bool)
    with pytest.raises(ConfigError, match="do not fit"):
        ProbabilityMap(probs[:, :5], coverage, GEOMETRY)
    with pytest.raises(ConfigError, match="do not fit"):
        ProbabilityMap(probs, coverage.T, GEOMETRY)
    with pytest.raises(ConfigError, match="do not fit"):
        LabelMap(MODEL[:5].copy(), MODEL[:5].copy(), GEOMETRY)
    with pytest.raises(ConfigError, match="do not fit"):
        LabelMap(MODEL.copy(), MODEL[:5].copy(), GEOMETRY)
    with pytest.raises(FrozenInstanceError):
        ProbabilityMap(probs, coverage, GEOMETRY).probs = probs  # type: ignore[misc]


def test_nobody_writes_into_what_the_model_said():
    fresh = LabelMap(MODEL.copy(), MODEL.copy(), GEOMETRY)
    assert not fresh.edited.any()
    with pytest.raises(ValueError, match="read-only"):
        fresh.automatic[0, 0] = 1
    fresh.labels[0, 0] += 1
    assert MODEL[0, 0] == fresh.automatic[0, 0]
    assert np.argwhere(fresh.edited).tolist() == [[0, 0]]


windows = st.builds(
    lambda y, x, h, w: Window(y, x, h, w).clipped(GEOMETRY.shape),
    *(st.integers(0, 5) for _ in range(4)),
)


@given(windows)
def test_new_automatic_labels_spare_what_a_person_changed(window: Window):
    labels = LabelMap(PERSON.copy(), MODEL.copy(), GEOMETRY)
    part = window.slices
    labels.put_automatic(window, NEWER[part])
    inside = np.zeros(GEOMETRY.shape, bool)
    inside[part] = True
    edited = PERSON != MODEL
    assert np.array_equal(labels.automatic, np.where(inside, NEWER, MODEL))
    assert np.array_equal(labels.labels, np.where(inside & ~edited, NEWER, PERSON))
    assert not labels.automatic.flags.writeable
