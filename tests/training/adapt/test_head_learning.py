"""Heads that learn: they spread, they hold, and the gate keeps what is worse out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.models.classifier import build_head
from napari_fddm.training.adapt.head_fitting import Examples, HeadFitting, fit_head
from napari_fddm.training.adapt.head_learning import learn_events
from napari_fddm.training.adapt.heads import Heads, predict, tile_inputs
from napari_fddm.training.adapt.judging import held_out_events
from napari_fddm.training.adapt.samples import PaintedSamples, Samples
from napari_fddm.training.adapt.tile_cache import HeadInputs
from napari_fddm.training.adapt.unpainted import Unpainted as Places
from tests.support.embedding import WIDTH, looks, painted
from tests.support.runs import drain


def head_that_says(of_value: dict[int, int]) -> nn.Module:
    """A head that takes a tissue for another class, trained to do so."""
    rng = np.random.default_rng(0)
    x = np.concatenate([looks(v, 60, rng) for v in of_value])
    y = np.repeat(list(of_value.values()), 60)
    torch.manual_seed(0)
    examples = Examples.of(x, y, np.full(len(y), 1 / len(y)), np.zeros((0, WIDTH), np.float16))
    return fit_head(build_head(WIDTH, 7), examples, HeadFitting(steps=200, noise=0.0))


def unpainted(values: list[int], features: dict, rng: np.random.Generator) -> list:
    index = []
    for number, value in enumerate(values):
        place = (number, 50)
        features[place] = HeadInputs(
            looks(value, 1, rng)[0], looks(value, 64, rng).reshape(8, 8, WIDTH)
        )
        index.append(place)
    return index


@pytest.fixture(scope="module")
def wrong() -> Heads:
    """Takes tissue 3 for 2; knows 2, 4 and 7."""
    head = head_that_says({2: 2, 3: 2, 4: 4, 7: 7})
    return Heads(head, head)


def test_strokes_spread_to_what_looks_alike_and_the_rest_holds(wrong):
    rng = np.random.default_rng(1)
    samples, features, _ = painted([2, 3] * 6, rng)
    places = [3] * 30 + [2] * 30 + [4] * 30 + [7] * 30
    reference = unpainted(places, features, rng)
    _, learned = drain(learn_events(wrong, samples, features, reference, OSTEOSARCOMA))
    verdict = learned.verdict
    assert verdict.accepted
    assert verdict.tile_before == pytest.approx(0.5)
    assert verdict.tile_after == 1.0
    assert verdict.cell_after > 0.95
    assert (verdict.sites, verdict.classes) == (12, ("VT", "NC"))
    new = looks(3, 50, rng), looks(2, 50, rng), looks(4, 50, rng), looks(7, 50, rng)
    for x, value in zip(new, (3, 2, 4, 7), strict=True):  # nobody painted 4 and 7
        assert (predict(learned.heads.tile, x) == value).mean() > 0.95
        assert (predict(learned.heads.cell, x) == value).mean() > 0.95
    assert verdict.changed == pytest.approx(0.25, abs=0.02)


def test_the_old_heads_are_not_touched(wrong):
    before = {k: v.clone() for k, v in wrong.state().items()}
    rng = np.random.default_rng(1)
    samples, features, _ = painted([2, 3] * 4, rng)
    drain(learn_events(wrong, samples, features, [], OSTEOSARCOMA))
    assert all(torch.equal(before[k], v) for k, v in wrong.state().items())


def test_a_model_that_is_right_stays_as_it_is(wrong):
    rng = np.random.default_rng(2)
    samples, features, _ = painted([2, 4, 7] * 4, rng)
    _, learned = drain(learn_events(wrong, samples, features, [], OSTEOSARCOMA))
    assert learned.verdict.tile_before == learned.verdict.cell_before == 1.0
    assert not learned.verdict.accepted
    assert learned.heads is wrong


def test_held_out_sites_are_not_remembered(wrong):
    """Labels at random over one look: whoever has seen a site knows it, others guess."""
    rng = np.random.default_rng(4)
    samples, features, _ = painted([2] * 12, rng)
    label = np.where(rng.permutation(12) < 6, 2, 3)
    samples = PaintedSamples(
        Samples(
            samples.cells.index, label[samples.cells.site - 1], samples.cells.cover,
            samples.cells.site,
        ),
        Samples(samples.tiles.index, label, samples.tiles.cover, samples.tiles.site),
    )  # fmt: skip
    _, learned = drain(learn_events(wrong, samples, features, [], OSTEOSARCOMA))
    assert abs(learned.verdict.tile_after - 0.5) < 0.25
    assert abs(learned.verdict.cell_after - 0.5) < 0.25


def test_learning_is_repeatable(wrong):
    rng = np.random.default_rng(1)
    samples, features, _ = painted([2, 3] * 4, rng)
    first, second = (
        drain(learn_events(wrong, samples, features, [], OSTEOSARCOMA))[1] for _ in range(2)
    )
    assert first.verdict == second.verdict
    states = first.heads.state(), second.heads.state()
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def test_no_site_is_judged_by_heads_that_learned_from_it(wrong, monkeypatch):
    rng = np.random.default_rng(1)
    samples, features, _ = painted([2, 3] * 5, rng)
    learned_from = []

    def spy(heads, kept, *_):
        learned_from.append(set(kept.cells.site.tolist()) | set(kept.tiles.site.tolist()))
        return heads

    monkeypatch.setattr("napari_fddm.training.adapt.judging.fit_heads", spy)
    nothing = Places(np.zeros((0, WIDTH), np.float16), np.zeros((0, WIDTH), np.float16))
    _, (tiles, cells) = drain(held_out_events(wrong, samples, features, nothing, HeadFitting()))
    everything = set(range(1, 11))
    held_out = [everything - kept for kept in learned_from]
    assert set().union(*held_out) == everything
    assert sum(map(len, held_out)) == len(everything)  # each site once
    assert np.array_equal(tiles, predict(wrong.tile, tile_inputs(samples.tiles, features)))
    assert (cells > 0).all()
