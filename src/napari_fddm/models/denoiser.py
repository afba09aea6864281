"""Stage 2's network: a small U-Net of diffusers behind the condition net τ.

The paper concatenates τ(y ⊕ O) to x_t (FDDM section 2.3). x_t is scaled to unit
variance first (``docs/algorithm.md#input-scale``), by a table the scheduler's owner hands in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fddm.core.cards import DenoiserSettings


LEAST_PROBABILITY = 1e-3
"""Lower bound of the probabilities of y before their logarithm is taken."""


class Denoiser(nn.Module):
    """Predicts class logits of x̂₀ from x_t, t, y and O.

    Parameters
    ----------
    settings : DenoiserSettings
        Sizes.
    input_scale : sequence of float, length T + 1
        Factor for x_t at each timestep, about 1 / standard deviation of x_t.
    """

    input_scale: torch.Tensor

    def __init__(self, settings: DenoiserSettings, input_scale: Sequence[float]) -> None:
        super().__init__()
        from diffusers import UNet2DModel

        c = settings.condition_channels
        self.settings = settings
        self.tau = nn.Sequential(
            nn.Conv2d(settings.classes + settings.tissue_features, c, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(c, c, 1),
        )
        depth = len(settings.widths)
        self.unet = UNet2DModel(
            in_channels=settings.classes + c,
            out_channels=settings.classes,
            block_out_channels=settings.widths,
            layers_per_block=settings.layers,
            down_block_types=("DownBlock2D",) * depth,
            up_block_types=("UpBlock2D",) * depth,
            norm_num_groups=8,
            attention_head_dim=min(32, settings.widths[-1]),
        )
        if settings.residual:  # the first answer is y itself
            nn.init.zeros_(self.unet.conv_out.weight)
            nn.init.zeros_(self.unet.conv_out.bias)
        table = torch.as_tensor(input_scale, dtype=torch.float32)
        self.register_buffer("input_scale", table, persistent=False)

    def forward(
        self, sample: torch.Tensor, timestep: torch.Tensor, condition: torch.Tensor
    ) -> torch.Tensor:
        """Return logits of x̂₀.

        Parameters
        ----------
        sample : tensor, shape (b, classes, h, w)
            x_t.
        timestep : tensor of int, shape (b,) or ()
            t, the index into the scheduler's schedule.
        condition : tensor, shape (b, classes + tissue_features, h, w)
            y ⊕ O.

        Returns
        -------
        tensor, shape (b, classes, h, w)
        """
        t = timestep.to(sample.device).expand(sample.shape[0])
        scaled = sample * self.input_scale[t].view(-1, 1, 1, 1)
        x = torch.cat([scaled, self.tau(condition)], dim=1)  # (b, classes + c, h, w)
        output = cast("torch.Tensor", self.unet(x, t).sample)
        if not self.settings.residual:
            return output
        source = condition[:, : self.settings.classes]
        return output + source.clamp(min=LEAST_PROBABILITY).log()
