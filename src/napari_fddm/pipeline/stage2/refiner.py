"""The refiner: the bridge with a model's denoiser, on batches of regions."""

from __future__ import annotations

import importlib
import threading
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from napari_fddm.core.cards import InputMoments, RefinerCard
from napari_fddm.diffusion import BrownianBridgeScheduler, sample_bridge
from napari_fddm.diffusion.sampling import Clamp, region_noise
from napari_fddm.models.memory import HalvingBatches

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.core.config import AnalysisConfig
    from napari_fddm.core.geometry import Window
    from napari_fddm.models import ComputeDevice, Denoiser

DEFAULT_MOMENTS = InputMoments()
REGION_BATCH = 4
"""Regions per call of the denoiser. Fixed, the last batch is padded; batches are smaller only
after memory ran out."""


class HasRefiner(Protocol):
    """What the second stage needs of a model."""

    @property
    def card(self) -> HasRefinerCard:
        """Its card, of which ``refiner`` describes the network."""
        ...

    @property
    def compute(self) -> ComputeDevice:
        """The device that it runs on."""
        ...

    def load_denoiser(self, input_scale: list[float]) -> Denoiser:
        """Return the network in evaluation mode."""
        ...


class HasRefinerCard(Protocol):
    """The part of a model's card that the second stage reads."""

    @property
    def refiner(self) -> RefinerCard | None:
        """How the second stage is built."""
        ...


class Refiner:
    """The bridge with a model's denoiser: turns y and O of a region into x̂₀.

    Parameters
    ----------
    model : HasRefiner
        Gives the denoiser and the bridge's T and s; a `LoadedModel`, usually.
    config : AnalysisConfig
        steps, eta, samples and seed. With 0 steps x̂₀ is y.

    Raises
    ------
    WeightsError
        If the model has no second stage and steps are to be taken.
    """

    def __init__(self, model: HasRefiner, config: AnalysisConfig) -> None:
        self.config = config
        self.compute = model.compute
        card = model.card.refiner or RefinerCard()  # without one, load_denoiser refuses
        self.head = card.head
        self.scheduler = build_scheduler(card)
        self.denoiser = (
            model.load_denoiser(input_scale(self.scheduler, card.input_moments))
            if config.steps
            else None
        )
        self.batches = HalvingBatches(REGION_BATCH, "regions")

    def refine(
        self,
        source: npt.NDArray[np.float32],
        features: npt.NDArray[np.float32],
        windows: list[Window],
        clamp: npt.NDArray[np.uint8] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Refine a batch of regions and average the samples.

        Parameters
        ----------
        source : array, shape (b, classes, 64, 64)
            y, stage-1 probabilities.
        features : array, shape (b, 6, 64, 64)
            O, tissue.
        windows : list of Window
            Each region on the global cell grid, which keys its noise.
        clamp : array of uint8, shape (b, 64, 64), optional
            Class values of cells that keep their class, 0 elsewhere.

        Returns
        -------
        array of float32, shape (b, classes, 64, 64)
            Probabilities.

        Raises
        ------
        EngineError
            If memory does not suffice even for one region.
        """
        (probs,) = self.batches.run(
            lambda a, b: (
                self._refine(
                    source[a:b],
                    features[a:b],
                    windows[a:b],
                    None if clamp is None else clamp[a:b],
                ),
            ),
            len(source),
        )
        return probs

    def _refine(
        self,
        source: npt.NDArray[np.float32],
        features: npt.NDArray[np.float32],
        windows: list[Window],
        clamp: npt.NDArray[np.uint8] | None,
    ) -> npt.NDArray[np.float32]:
        device = self.compute.device
        y = torch.from_numpy(source).to(device)
        known = None if clamp is None else clamp_like(clamp, y)
        if known is not None:
            y = known.put(y)
        if self.denoiser is None:
            return y.cpu().numpy()
        condition = torch.cat([y, torch.from_numpy(features).to(device)], dim=1)
        total = torch.zeros_like(y)
        for sample in range(self.config.samples):
            total += sample_bridge(
                partial(self._call, self.denoiser),
                self.scheduler,
                y,
                condition,
                num_inference_steps=self.config.steps,
                eta=self.config.eta,
                boot_noise=self.config.eta < 1,
                head=self.head,
                clamp=known,
                noise=region_noise(
                    windows,
                    channels=source.shape[1],
                    seed=self.config.seed,
                    sample=sample,
                    like=y,
                ),
            )
        mean = total / self.config.samples
        return (mean if known is None else known.put(mean)).cpu().numpy()

    def _call(
        self,
        denoiser: Denoiser,
        sample: torch.Tensor,
        timestep: torch.Tensor,
        condition: torch.Tensor,
    ) -> torch.Tensor:
        with torch.inference_mode(), self.compute.autocast():
            logits: torch.Tensor = denoiser(sample, timestep, condition).float()
        return logits


def clamp_like(labels: npt.NDArray[np.uint8], like: torch.Tensor) -> Clamp:
    """Return class values (b, h, w), 0 unknown, as one-hot x_0 on the device of a map."""
    values = torch.from_numpy(labels.astype(np.int64)).to(like.device)
    channels = torch.nn.functional.one_hot((values - 1).clamp(min=0), like.shape[1])
    return Clamp(channels.permute(0, 3, 1, 2).to(like.dtype), (values > 0)[:, None])


def preload_denoiser() -> threading.Thread:
    """Import diffusers in a thread: it takes seconds, during which stage 1 runs.

    Start it after the first stage's model is loaded: imported at the same time, peft and
    diffusers see each other's modules half initialized. Join it before making a `Refiner`.
    """
    thread = threading.Thread(
        target=importlib.import_module,
        args=("diffusers.models.unets.unet_2d",),
        name="fddm-preload",
        daemon=True,
    )
    thread.start()
    return thread


def build_scheduler(card: RefinerCard) -> BrownianBridgeScheduler:
    """Build the bridge that a card describes."""
    return BrownianBridgeScheduler(
        card.num_train_timesteps, card.max_variance, card.schedule, card.prediction_type
    )


def input_scale(
    scheduler: BrownianBridgeScheduler, moments: InputMoments | None = DEFAULT_MOMENTS
) -> list[float]:
    """Return 1 / sd of x_t for each timestep; ones without moments.

    See ``docs/algorithm.md#input-scale``.

    x_t = (1 - m) x_0 + m y + sqrt(d_t) ε, so its variance is
    (1 - m)² var x_0 + m² var y + 2 m (1 - m) cov(x_0, y) + d_t.
    """
    m = np.asarray(scheduler.mixing)
    if moments is None:
        return [1.0] * m.size
    variance = (
        (1 - m) ** 2 * moments.original
        + m**2 * moments.source
        + 2 * m * (1 - m) * moments.covariance
        + 2 * scheduler.max_variance * m * (1 - m)
    )
    return [float(v) for v in 1 / np.sqrt(variance)]
