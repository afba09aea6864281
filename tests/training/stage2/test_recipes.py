"""Recipes of stage 2: their input scaling, timesteps and losses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_fddm.core.errors import ConfigError
from napari_fddm.diffusion import refinement_loss
from napari_fddm.diffusion.losses import one_hot
from napari_fddm.training.regions.batches import measured_moments
from napari_fddm.training.stage2 import find_recipe
from napari_fddm.training.stage2.recipes import RECIPES
from tests.support.recipes import built
from tests.support.regions import blocky_slide


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("seed", range(3))
def test_the_preconditioned_input_has_unit_variance(seed):
    rng = np.random.default_rng(seed)
    slides = [blocky_slide(rng, noise=0.1 + 0.3 * seed)]
    moments = measured_moments(slides)
    scheduler, denoiser = built("bridge", moments)
    slide = slides[0]
    generator = torch.Generator().manual_seed(seed)
    index = torch.from_numpy(slide.truth.astype(np.int64) - 1)[None]
    original = one_hot(index, 7)
    for m in (1.0, 0.99, 0.9, 0.5, 0.1):
        values = []
        for name in ("cells", "tiles"):
            y = torch.from_numpy(slide.coarse.source(name)[None].astype(np.float32))
            t = torch.from_numpy(scheduler.timestep_at(np.array([m])))
            noise = torch.randn(original.shape, generator=generator)
            sample = scheduler.add_noise(original, y, noise, t)
            values.append((sample - 1 / 7) * denoiser.input_scale[t].item())
        assert torch.cat(values).square().mean().item() == pytest.approx(1, rel=0.03)


def test_without_moments_nothing_is_scaled():
    _, denoiser = built("fddm_paper")
    assert (denoiser.input_scale == 1).all()


def test_timesteps_of_the_recipes(rng):
    generator = torch.Generator().manual_seed(0)
    counts = {}
    for name, recipe in RECIPES.items():
        scheduler, _ = built(name)
        t = recipe.timesteps(20_000, scheduler, generator)
        m = torch.tensor(scheduler.mixing)[t]
        counts[name] = [(m >= edge).double().mean().item() for edge in (1.0, 0.9, 0.5)]
    assert counts["direct"] == [1.0, 1.0, 1.0]
    # Half at the end, and of the logit-normal (mean 2, sd 1.5) what lies above.
    normal = torch.distributions.Normal(2.0, 1.5)
    above = [1 - normal.cdf(torch.logit(torch.tensor(e))).item() for e in (0.9, 0.5)]
    assert counts["bridge"][1:] == pytest.approx([0.5 + 0.5 * a for a in above], abs=0.015)
    assert counts["bridge"][0] == pytest.approx(0.5, abs=0.015)
    assert counts["fddm_paper"][1:] == pytest.approx([0.1, 0.5], abs=0.015)


def test_an_unknown_recipe_names_those_there_are():
    with pytest.raises(ConfigError, match="bridge, direct, fddm_paper"):
        find_recipe("magic")


def test_the_papers_recipe_is_regressed_and_ours_is_cross_entropy(rng):
    scheduler, _ = built("fddm_paper")
    index = torch.from_numpy(rng.integers(0, 7, (2, 8, 8)))
    original = one_hot(index, 7)
    y = torch.full_like(original, 1 / 7)
    t = torch.tensor([300, 700])
    sample = scheduler.add_noise(original, y, torch.randn(original.shape), t)
    exact = RECIPES["fddm_paper"].loss(scheduler, sample - original, sample, y, t, index)
    assert exact.trans.item() == pytest.approx(0, abs=1e-6)
    assert exact.total.item() == pytest.approx(0, abs=1e-4)
    off = RECIPES["fddm_paper"].loss(scheduler, sample - original - 0.1, sample, y, t, index)
    assert off.trans.item() == pytest.approx(0.1, abs=1e-5)
    assert off.total.item() == pytest.approx((off.trans + off.seg).item())
    logits = torch.randn(original.shape)
    ours = RECIPES["bridge"].loss(scheduler, logits, sample, y, t, index)
    assert ours.total.item() == pytest.approx(refinement_loss(logits, index).seg.item())
