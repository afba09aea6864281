from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from napari_fddm.core.cards import DenoiserSettings
from napari_fddm.core.maps import TISSUE_FEATURES
from napari_fddm.models import Denoiser
from napari_fddm.pipeline.stage1.cell_maps import cell_features

SMALL = DenoiserSettings(widths=(8, 16), layers=1)
SCALE = [1.0, 2.0, 4.0]


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Denoiser(SMALL, SCALE).eval()


def inputs(b: int = 2, side: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    sample = torch.rand(b, 7, side, side, generator=generator)
    return sample, torch.rand(b, 7 + TISSUE_FEATURES, side, side, generator=generator)


def test_the_pipeline_delivers_as_many_features_as_the_network_takes():
    features = cell_features(np.zeros((1, 256, 256, 3), np.uint8))
    assert features.shape[1] == DenoiserSettings().tissue_features == TISSUE_FEATURES


@pytest.mark.parametrize("side", [16, 64])
@torch.no_grad()
def test_logits_have_the_shape_of_the_sample(denoiser: Denoiser, side: int):
    sample, condition = inputs(side=side)
    logits = denoiser(sample, torch.tensor([0, 2]), condition)
    assert logits.shape == sample.shape
    assert torch.isfinite(logits).all()


@torch.no_grad()
def test_one_timestep_serves_a_whole_batch(denoiser: Denoiser):
    sample, condition = inputs()
    single = denoiser(sample, torch.tensor(1), condition)
    assert torch.equal(single, denoiser(sample, torch.tensor([1, 1]), condition))


@torch.no_grad()
def test_each_timestep_scales_its_own_sample(denoiser: Denoiser):
    sample, condition = inputs(1)
    with pytest.MonkeyPatch.context() as patch:
        seen = []
        forward = denoiser.unet.forward
        patch.setattr(denoiser.unet, "forward", lambda x, t: (seen.append(x), forward(x, t))[1])
        for t in range(3):
            denoiser(sample, torch.tensor(t), condition)
    for t, x in enumerate(seen):
        torch.testing.assert_close(x[:, :7], sample * SCALE[t])
        torch.testing.assert_close(x[:, 7:], seen[0][:, 7:])


@torch.no_grad()
def test_condition_and_time_both_matter(denoiser: Denoiser):
    sample, condition = inputs()
    base = denoiser(sample, torch.tensor(1), condition)
    assert not torch.allclose(base, denoiser(sample, torch.tensor(1), condition + 1))
    assert not torch.allclose(base, denoiser(sample / 2, torch.tensor(2), condition))


def test_gradients_reach_the_condition_net_and_the_u_net():
    model = Denoiser(SMALL, SCALE)
    model(inputs()[0], torch.tensor([0, 2]), inputs()[1]).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert model.tau[0].weight.grad.abs().max() > 0


def test_the_table_of_scales_is_no_part_of_the_weights(denoiser: Denoiser):
    assert not [name for name in denoiser.state_dict() if "input_scale" in name]


def test_unknown_sizes_are_refused():
    with pytest.raises(ValidationError, match="depth"):
        DenoiserSettings(depth=3)
