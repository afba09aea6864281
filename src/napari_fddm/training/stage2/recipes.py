"""Recipes for the training of stage 2: three objectives for the same network.

``bridge`` is what ``docs/algorithm.md#stage-2`` derives, ``direct`` the same network as a one-step
refiner, which the bridge's first step has to equal, and ``fddm_paper`` the published
objective and schedule, for comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from napari_fddm.core.cards import DenoiserSettings, InputMoments, RefinerCard
from napari_fddm.core.errors import ConfigError
from napari_fddm.diffusion import refinement_loss
from napari_fddm.diffusion.losses import (
    RefinementLoss,
    TimestepDensity,
    linear_head_loss,
    sample_timesteps,
    uniform_timesteps,
)
from napari_fddm.training.loop.weight_average import WeightAverage

if TYPE_CHECKING:
    import torch

    from napari_fddm.diffusion import BrownianBridgeScheduler


DEFAULT_DENSITY = TimestepDensity(end_share=0.5)
"""Half of the samples are those of the recipe `direct`, which the first step has to equal."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Objective, noise schedule and optimizer of a training.

    Attributes
    ----------
    name : str
        Name on the command line.
    schedule : {"exact", "bbdm"}
        Course of m_t over the bridge.
    head : {"softmax", "linear"}
        What the network outputs: logits of x̂_0, or a regressed bridge difference.
    density : TimestepDensity or None
        Distribution of the timesteps; None: uniform.
    seg_weight, trans_weight : float
        Weights of L_seg and L_trans.
    precondition : bool
        Whether x_t is scaled to unit variance.
    lr : float
        Peak learning rate.
    weight_decay : float
        Of AdamW; 0 is plain Adam.
    lr_schedule : {"cosine", "plateau"}
        Warm-up and cosine, or halved when the loss of the batches stops falling.
    clip : float or None
        Largest norm of the gradient.
    ema, ema_every, ema_from : float, int, int
        Averaging of the weights: decay, steps between updates, and the step before which
        the average is a plain copy.
    """

    name: str
    schedule: Literal["exact", "bbdm"] = "exact"
    head: Literal["softmax", "linear"] = "softmax"
    density: TimestepDensity | None = DEFAULT_DENSITY
    seg_weight: float = 1.0
    trans_weight: float = 0.0
    precondition: bool = True
    lr: float = 1e-3
    weight_decay: float = 0.01
    lr_schedule: Literal["cosine", "plateau"] = "cosine"
    clip: float | None = 1.0
    ema: float = 0.998
    ema_every: int = 1
    ema_from: int = 0

    def card(self, classes: int, moments: InputMoments, network: DenoiserSettings) -> RefinerCard:
        """Return the card of the refiner that this recipe trains."""
        residual = self.head == "softmax"
        return RefinerCard(
            denoiser=network.model_copy(update={"classes": classes, "residual": residual}),
            schedule=self.schedule,
            head=self.head,
            input_moments=moments if self.precondition else None,
        )

    def timesteps(
        self, count: int, scheduler: BrownianBridgeScheduler, generator: torch.Generator
    ) -> torch.Tensor:
        """Draw the timesteps (count,) of a batch."""
        if self.density is None:
            return uniform_timesteps(count, scheduler, generator)
        return sample_timesteps(count, scheduler, generator, density=self.density)

    def loss(
        self,
        scheduler: BrownianBridgeScheduler,
        output: torch.Tensor,
        sample: torch.Tensor,
        source: torch.Tensor,
        timesteps: torch.Tensor,
        index_map: torch.Tensor,
    ) -> RefinementLoss:
        """Return the objective; arguments as of `linear_head_loss`."""
        seg, trans = self.seg_weight, self.trans_weight
        if self.head == "softmax":
            return refinement_loss(output, index_map, seg_weight=seg, trans_weight=trans)
        return linear_head_loss(
            scheduler,
            output,
            sample,
            source,
            timesteps,
            index_map,
            seg_weight=seg,
            trans_weight=trans,
        )

    def weight_average(self, network: torch.nn.Module) -> WeightAverage:
        """Return the average of a network's weights that the training keeps."""
        return WeightAverage(network, decay=self.ema, every=self.ema_every, start=self.ema_from)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("bridge"),
        Recipe("direct", density=TimestepDensity(end_share=1.0)),
        Recipe(
            "fddm_paper",
            schedule="bbdm",
            head="linear",
            density=None,
            trans_weight=1.0,
            precondition=False,
            lr=3e-4,
            weight_decay=0.0,
            lr_schedule="plateau",
            clip=None,
            ema=0.995,
            ema_every=16,
            ema_from=30_000,
        ),
    )
}


def find_recipe(name: str) -> Recipe:
    """Return a recipe by name.

    Raises
    ------
    ConfigError
        If there is no such recipe.
    """
    if name not in RECIPES:
        raise ConfigError(f"there is no recipe {name!r}.", hint=f"Known are {', '.join(RECIPES)}.")
    return RECIPES[name]
