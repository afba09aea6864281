"""Networks of stage 2 that are small, as recipes describe them."""

from __future__ import annotations

import torch

from napari_fddm.core.cards import DenoiserSettings, InputMoments
from napari_fddm.models import Denoiser
from napari_fddm.pipeline.stage2.refiner import build_scheduler, input_scale
from napari_fddm.training.stage2 import find_recipe

NETWORK = DenoiserSettings(widths=(8, 16), layers=1)


def built(recipe, moments=None):
    """Return scheduler and network of a recipe, the same weights each time."""
    card = find_recipe(recipe).card(7, moments or InputMoments(), NETWORK)
    scheduler = build_scheduler(card)
    torch.manual_seed(0)
    return scheduler, Denoiser(card.denoiser, input_scale(scheduler, card.input_moments))
