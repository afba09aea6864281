"""Stage 2 over a slide: the bridge on overlapping regions, merged on the cell grid."""

from __future__ import annotations

import importlib
import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from napari_fddm.core.cards import InputMoments, RefinerCard
from napari_fddm.core.events import RegionRefined, StageDone, StageStarted
from napari_fddm.core.geometry import MapGeometry, Window
from napari_fddm.core.merging import CellAccumulator, labels_from_cells
from napari_fddm.core.tiling import CELLS_PER_TILE, RegionGrid, regions_for
from napari_fddm.diffusion.bridge import BrownianBridgeScheduler
from napari_fddm.diffusion.sampling import Clamp, region_noise, sample_bridge
from napari_fddm.models.memory import HalvingBatches

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy.typing as npt

    from napari_fddm.core.config import AnalysisConfig
    from napari_fddm.core.events import Event
    from napari_fddm.models.denoiser import Denoiser
    from napari_fddm.models.device import ComputeDevice
    from napari_fddm.pipeline.stage1.cell_maps import CellMaps
    from napari_fddm.pipeline.stage2.clamping import CellClamp

DEFAULT_MOMENTS = InputMoments()
REGION_BATCH = 4
"""Regions per call of the denoiser; fixed, the last batch is padded. Only where memory runs
out are there fewer."""


class HasRefiner(Protocol):
    """What the second stage needs of a model."""

    @property
    def card(self) -> HasRefinerCard:
        """Whose ``refiner`` says how the network is built."""
        ...

    @property
    def compute(self) -> ComputeDevice:
        """Where it runs."""
        ...

    def load_denoiser(self, input_scale: list[float]) -> Denoiser:
        """Return the network in evaluation mode."""
        ...


class HasRefinerCard(Protocol):
    """A model's card, as far as the second stage reads it."""

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
        steps, eta, samples and seed. Without a step x̂₀ is y.

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
            Each region on the global cell grid: keys its noise.
        clamp : array of uint8, shape (b, 64, 64), optional
            Class values of cells that keep them, 0 elsewhere.

        Returns
        -------
        array of float32, shape (b, classes, 64, 64)
            Probabilities.

        Raises
        ------
        EngineError
            If memory does not even suffice for one region.
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
    """Import diffusers in a thread: it takes seconds, which stage 1 hides.

    Start it when the first stage's model is loaded: peft and diffusers, imported at
    the same time, find each other's modules half made. Join it before `Refiner`.
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


@dataclass(slots=True)
class RefinedMap:
    """Refined probabilities as far as they are known.

    Attributes
    ----------
    accumulator : CellAccumulator
        Weighted sums on the cell grid.
    settled_rows : int
        Cells in the rows before this one have their final probabilities and labels:
        no region that is still to come changes them.
    """

    accumulator: CellAccumulator
    settled_rows: int = 0

    @classmethod
    def empty(cls, maps: CellMaps) -> RefinedMap:
        """Return a map without any region."""
        return cls(CellAccumulator((len(maps.cell_probs), *maps.cell_geometry.shape)))

    def labels(
        self, maps: CellMaps, label_geometry: MapGeometry, window: Window
    ) -> npt.NDArray[np.uint8]:
        """Return labels of a window of the label grid, 0 where not analyzed."""
        cells = maps.cell_geometry
        around = cells.window_of(label_geometry.region_of(window)).dilated(1).clipped(cells.shape)
        merged = self.accumulator.merged_window(around)
        part = MapGeometry(
            (around.height, around.width),
            cells.cell,
            cells.mpp,
            (around.y * cells.cell, around.x * cells.cell),
        )
        labels = labels_from_cells(merged.probs, part, label_geometry, window, merged.coverage)
        labels[~analyzed_on(maps, label_geometry, window)] = 0
        return labels


def analyzed_on(
    maps: CellMaps, label_geometry: MapGeometry, window: Window
) -> npt.NDArray[np.bool_]:
    """Return which label cells lie in analyzed tiles, by their centers."""
    tiles = maps.tile_geometry
    rows = _tile_index(label_geometry, tiles, window.y, window.height, 0)
    cols = _tile_index(label_geometry, tiles, window.x, window.width, 1)
    return np.asarray(maps.analyzed[np.ix_(rows, cols)])


def _tile_index(
    labels: MapGeometry, tiles: MapGeometry, start: int, count: int, axis: int
) -> npt.NDArray[np.int64]:
    centers = labels.origin[axis] + (start + np.arange(count) + 0.5) * labels.cell
    index = (centers / tiles.cell).astype(np.int64)
    return np.clip(index, 0, tiles.shape[axis] - 1)


def refine_events(
    refiner: Refiner,
    maps: CellMaps,
    tiles: Window,
    label_geometry: MapGeometry,
    merged: RefinedMap,
    clamp: CellClamp | None = None,
) -> Generator[Event]:
    """Refine a window of tiles, one event per region.

    Regions are visited in the order of the grid, so that overlapping sums add up
    in the same order in a viewport and in a whole slide. Regions without any
    analyzed tile are skipped: their labels are 0.

    Parameters
    ----------
    refiner : Refiner
        The bridge.
    maps : CellMaps
        Stage-1 results; every tile of `tiles_needed` that has tissue is analyzed.
    tiles : Window
        Tiles whose labels are wanted.
    label_geometry : MapGeometry
        Grid of the labels in the events.
    merged : RefinedMap
        Filled in place; `RefinedMap.empty`.
    clamp : CellClamp, optional
        What a person painted: these cells keep their class, and the refiner, which sees
        them in y and in every step, may spread it to where the tissue looks alike.
    """
    started = time.monotonic()
    tile_shape = maps.tile_geometry.shape
    grid = RegionGrid(tile_shape)
    regions = [
        region
        for region in regions_for(tile_shape, tiles)
        if maps.analyzed[grid.tile_window(*region).clipped(tile_shape).slices].any()
    ]
    wanted = label_geometry.centers_in(maps.tile_geometry.region_of(tiles))
    done = 0
    yield StageStarted("refined", len(regions), "regions")
    for start in range(0, len(regions), REGION_BATCH):
        batch = regions[start : start + REGION_BATCH]
        _refine_batch(refiner, maps, [grid.tile_window(*r) for r in batch], merged, clamp)
        to_come = regions[start + REGION_BATCH :]
        if to_come:
            # Regions come row by row; labels are interpolated from one row further down.
            first = grid.tile_window(*to_come[0]).scaled(CELLS_PER_TILE).y
            merged.settled_rows = max(0, first - 1)
        for region in batch:
            done += 1
            window = _label_window(grid.tile_window(*region), maps, label_geometry, wanted)
            if not window.is_empty:
                labels = merged.labels(maps, label_geometry, window)
                yield RegionRefined(window, labels, done, len(regions))
    merged.settled_rows = maps.cell_geometry.shape[0]
    note = refiner.batches.note
    yield StageDone(
        "refined", time.monotonic() - started, (note,) if note else (), refiner.batches.size
    )


def _refine_batch(
    refiner: Refiner,
    maps: CellMaps,
    windows: list[Window],
    merged: RefinedMap,
    clamp: CellClamp | None,
) -> None:
    padded = windows + windows[-1:] * (REGION_BATCH - len(windows))
    inputs = [maps.region_input(window) for window in padded]
    cells = [window.scaled(CELLS_PER_TILE) for window in padded]
    source, features = (np.stack(column) for column in zip(*inputs, strict=True))
    known = () if clamp is None else (np.stack([clamp.window(window) for window in cells]),)
    probs = refiner.refine(source, features, cells, *known)
    for window, region_probs in zip(cells[: len(windows)], probs, strict=False):
        merged.accumulator.add(region_probs, window.y, window.x)


def _label_window(
    tiles: Window, maps: CellMaps, label_geometry: MapGeometry, wanted: Window
) -> Window:
    """Return the label cells that a region can change, within what is wanted.

    One bridge cell more on each side: labels are interpolated between cells.
    """
    cells = tiles.scaled(CELLS_PER_TILE).dilated(1).clipped(maps.cell_geometry.shape)
    touched = label_geometry.window_of(maps.cell_geometry.region_of(cells))
    y0, x0 = max(touched.y, wanted.y), max(touched.x, wanted.x)
    y1 = min(touched.y + touched.height, wanted.y + wanted.height)
    x1 = min(touched.x + touched.width, wanted.x + wanted.width)
    return Window(y0, x0, max(0, y1 - y0), max(0, x1 - x0))
