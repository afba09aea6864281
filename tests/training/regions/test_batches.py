"""Batches of regions: source, features and truth stay together, and padding has no truth."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.errors import ConfigError
from napari_fddm.training.regions.batches import HANGING_SHARE, measured_moments, random_regions
from tests.support.regions import coded_slide


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_regions_keep_source_features_and_truth_together(rng):
    batch = random_regions([coded_slide(rng, (10, 9))], 8, rng, sources=["cells"])
    assert batch.source.shape == (8, 7, 64, 64)
    known = batch.truth >= 0
    assert np.array_equal(batch.source.argmax(axis=1)[known], batch.truth[known])
    assert np.allclose(batch.source.sum(axis=1), 1, atol=1e-5)
    for region in range(8):
        codes = batch.features[region, 0]
        means = [codes[batch.truth[region] == c].mean() for c in range(7)]
        assert (np.diff(means) > 0).all()


def test_regions_begin_at_tiles(rng):
    batch = random_regions([coded_slide(rng, (11, 12))], 12, rng, sources=["tiles"])
    blocks = batch.source.reshape(12, 7, 8, 8, 8, 8)
    assert (blocks == blocks[:, :, :, :1, :, :1]).all()


def test_small_slides_are_padded_with_glass_that_has_no_truth(rng):
    batch = random_regions([coded_slide(rng, (3, 5))], 6, rng)
    assert ((batch.truth >= 0).sum(axis=(1, 2)) == 24 * 40).all()
    beyond = batch.truth < 0
    assert (batch.source[:, 0][beyond] == 1).all()


def test_some_regions_hang_over_the_end_by_less_than_half(rng):
    batch = random_regions([coded_slide(rng, (9, 9))], 200, rng)
    beyond = batch.truth < 0
    hangs = beyond.any(axis=(1, 2))
    assert hangs.mean() == pytest.approx(1 - (1 - HANGING_SHARE) ** 2, abs=0.1)
    assert beyond.all(axis=1).sum(axis=1).max() <= 24
    assert beyond.all(axis=2).sum(axis=1).max() <= 24
    assert (batch.source[:, 0][beyond] == 1).all()
    assert (batch.features[:, 3:].transpose(0, 2, 3, 1)[beyond] == 0).all()


def test_both_sources_occur_and_batches_depend_on_the_seed_alone(rng):
    slide = coded_slide(rng, (8, 8))
    one, same, other = (
        random_regions([slide], 16, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(one.source, same.source)
    assert not np.array_equal(one.source, other.source)
    exact = ((one.source.argmax(axis=1) == one.truth) | (one.truth < 0)).all(axis=(1, 2))
    assert 0 < exact.sum() < 16


def test_regions_without_any_truth_are_refused(rng):
    slide = coded_slide(rng, (1, 1))
    slide.truth[:] = 0
    with pytest.raises(ConfigError, match="no cell of the training regions"):
        measured_moments([slide])
