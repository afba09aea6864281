"""Trains a refiner, measures it and writes it as a model folder that `run` can use."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from napari_fddm.core.cards import DenoiserSettings, ModelCard, RefinerCard, write_card
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.outside.files import real_path
from napari_fddm.core.provenance import REFINER_FILE
from napari_fddm.core.tiling import CELL_PX
from napari_fddm.models import Denoiser, load_model
from napari_fddm.models.tensor_files import save_tensors
from napari_fddm.models.weights import sha256_of
from napari_fddm.pipeline.stage2.refiner import build_scheduler, input_scale
from napari_fddm.training.regions import read_regions
from napari_fddm.training.regions.batches import measured_moments
from napari_fddm.training.regions.files import split_by_case
from napari_fddm.training.stage2.evaluate import evaluate_refiner
from napari_fddm.training.stage2.train import RefinerTraining, train_refiner

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_fddm.models import ComputeDevice, LoadedModel
    from napari_fddm.training.regions import RegionSlide
    from napari_fddm.training.regions.files import RegionSet

log = logging.getLogger(__name__)

CHECKPOINT = "refiner.checkpoint"
LOG = "training.jsonl"
VALIDATION_STEPS = (1, 5)


def train_refiner_model(
    regions: Sequence[Path],
    base: str,
    out: Path,
    settings: RefinerTraining,
    *,
    validation_share: float = 0.15,
    device: str = "auto",
    network: DenoiserSettings | None = None,
) -> ModelCard:
    """Train a refiner for the stage 1 of a model and write both as a new model folder.

    The same call continues after a stop.

    Parameters
    ----------
    regions : sequence of Path
        Region datasets with the classes and cells of the model.
    base : str
        Id or folder of the model whose stage 1 is kept.
    out : Path
        The new model folder, which also gets checkpoint and log.
    settings : RefinerTraining
        Recipe, steps and so on.
    validation_share : float
        Share of the cases that is measured instead of trained on.
    device : str
        See `choose_device`.
    network : DenoiserSettings, optional
        Size of the network.

    Returns
    -------
    ModelCard
        The card that was written.

    Raises
    ------
    ConfigError
        If a dataset does not fit the model.
    TrainingError
        If a loss is not finite, or ``out`` holds a training with other settings.
    """
    model = load_model(base, device)
    sets, slides = _read(regions, model.card)
    train, validation = split_by_case(slides, validation_share, settings.seed)
    refiner = settings.recipe.card(
        len(model.card.classes),
        measured_moments(train, settings.sources),
        network or DenoiserSettings(),
    )
    out.mkdir(parents=True, exist_ok=True)
    denoiser, seconds = train_new_refiner(refiner, train, settings, model.compute, out)
    _copy_first_stage(model, out)
    save_tensors(denoiser.state_dict(), out / REFINER_FILE)
    trained = TrainedRefiner(refiner, denoiser, model.compute)
    measured: dict[str, Any] = {}
    if validation:
        cases = sorted({slide.meta.case for slide in validation})
        measured = {
            "what": f"{len(validation)} slides of {len(cases)} cases that were not trained on",
            "cases": cases,
            "results": evaluate_refiner(trained, validation, steps=VALIDATION_STEPS),
        }
    else:
        log.info("there is one case only, so nothing is set aside and nothing is measured")
    card = _card(model, out, refiner, sets, train, settings, round(seconds, 1), measured)
    write_card(card, out)
    return card


def train_new_refiner(
    card: RefinerCard,
    slides: Sequence[RegionSlide],
    settings: RefinerTraining,
    compute: ComputeDevice,
    folder: Path,
) -> tuple[Denoiser, float]:
    """Build the network of a card, train it, and return it with the duration in seconds.

    The initial weights depend on the seed alone, so all recipes start from the same ones.
    On a CPU the training is in float32: bfloat16 is not faster there.
    """
    if compute.device.type == "cpu":
        compute = replace(compute, dtype=torch.float32)
    scheduler = build_scheduler(card)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        denoiser = Denoiser(card.denoiser, input_scale(scheduler, card.input_moments))
    denoiser = denoiser.to(compute.device)
    seconds = train_refiner(
        denoiser, scheduler, slides, settings, compute, folder / CHECKPOINT, folder / LOG
    )
    return denoiser, seconds


class TrainedRefiner:
    """A network that was just trained, in the form that `Refiner` needs (`HasRefiner`).

    Parameters
    ----------
    refiner : RefinerCard
        How it is built.
    denoiser : Denoiser
        The network, in evaluation mode.
    compute : ComputeDevice
        Where it runs.
    """

    def __init__(self, refiner: RefinerCard, denoiser: Denoiser, compute: ComputeDevice) -> None:
        self.card = _OnlyRefiner(refiner)
        self.compute = compute
        self._denoiser = denoiser

    def load_denoiser(self, input_scale: list[float]) -> Denoiser:
        """Return the network, which already has ``input_scale``."""
        return self._denoiser


class _OnlyRefiner:
    def __init__(self, refiner: RefinerCard) -> None:
        self.refiner = refiner


def _read(folders: Sequence[Path], card: ModelCard) -> tuple[list[RegionSet], list[RegionSlide]]:
    """Read datasets, and refuse those with other classes or cells than the model."""
    sets, slides = [], []
    cell_um = CELL_PX * card.analysis_mpp
    for folder in folders:
        about, part = read_regions(folder)
        if about.classes != card.classes:
            raise ConfigError(
                f"{folder} has the classes {', '.join(about.classes)}, the model {card.id!r} "
                f"{', '.join(card.classes)}."
            )
        if abs(about.cell_um / cell_um - 1) > 0.01:
            raise ConfigError(
                f"the cells of {folder} are {about.cell_um:g} µm wide, those of {card.id!r} "
                f"{cell_um:g} µm."
            )
        sets.append(about)
        slides += part
    if not slides:
        raise ConfigError("no region dataset was given.", hint="Give at least one with --regions.")
    return sets, slides


def _copy_first_stage(model: LoadedModel, out: Path) -> None:
    for name in model.card.files:
        if name != REFINER_FILE and real_path(model.folder) != real_path(out):
            shutil.copyfile(model.folder / name, out / name)
    for path in model.folder.glob("LICENSE*"):
        if real_path(model.folder) != real_path(out):
            shutil.copyfile(path, out / path.name)


def _card(
    model: LoadedModel,
    out: Path,
    refiner: RefinerCard,
    sets: Sequence[RegionSet],
    train: Sequence[RegionSlide],
    settings: RefinerTraining,
    seconds: float,
    measured: dict[str, Any],
) -> ModelCard:
    base = model.card
    cases = {slide.meta.case for slide in train}
    titles = "; ".join(about.title or "untitled" for about in sets)
    licences = "; ".join(dict.fromkeys(about.licence for about in sets if about.licence))
    names = [name for name in base.files if name != REFINER_FILE] + [REFINER_FILE]
    return base.model_copy(
        update={
            "id": real_path(out).name,
            "title": f"{base.title}, refiner trained anew",
            "refiner": refiner,
            "files": {name: sha256_of(out / name) for name in names},
            "trained_on": f"{base.trained_on}; refiner: {len(train)} slides of {len(cases)} "
            f"cases ({titles})",
            "licence": base.licence + (f"; data of the refiner: {licences}" if licences else ""),
            "training": base.training
            | {
                "refiner": settings.as_dict() | {"seconds": seconds},
                "refiner_command": "napari-fddm train refiner",
            },
            "metrics": measured,
        }
    )
