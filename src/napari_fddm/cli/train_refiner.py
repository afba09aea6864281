"""``napari-fddm train refiner`` and ``train regions``: training of stage 2 and its data."""

from __future__ import annotations

from functools import partial
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated

import typer

from napari_fddm.cli.options import (
    AllowDownloadOption,  # noqa: TC001 - typer reads them
    DeviceOption,  # noqa: TC001 - typer reads them
    QuietOption,  # noqa: TC001 - typer reads them
)
from napari_fddm.cli.printing import log_to_terminal, say
from napari_fddm.cli.train import app
from napari_fddm.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_fddm.models import LoadedModel


@app.command("refiner")
def refiner(
    out: Annotated[Path, typer.Option("-o", "--out", help="Model folder to write.")],
    datasets: Annotated[
        list[Path], typer.Option("--regions", help="Region dataset; may be given several times.")
    ],
    model: Annotated[
        str, typer.Option(help="Model id or folder whose first stage is kept.")
    ] = "fddm-small",
    allow_download: AllowDownloadOption = False,
    recipe: Annotated[
        str,
        typer.Option(help="bridge; direct: a single step; fddm_paper: as published."),
    ] = "bridge",
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps.")] = 1200,
    batch_size: Annotated[int, typer.Option(min=1, help="Regions per step.")] = 8,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate; the recipe's own if unset.")
    ] = None,
    source: Annotated[
        str, typer.Option(help="Stage-1 maps to refine: cells (token maps), tiles, or both.")
    ] = "cells",
    widths: Annotated[
        str,
        typer.Option(
            help="Channels of the network at each resolution, multiples of 8; the paper's is "
            "128,512,1024."
        ),
    ] = "32,64,96",
    validation_share: Annotated[
        float,
        typer.Option(
            min=0.0, max=0.9, help="Share of the cases to measure on instead of training."
        ),
    ] = 0.15,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of weights, order, augmentation and noise.")
    ] = 2001,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Train stage 2 on region datasets; after a stop, the same command continues."""
    from napari_fddm.core.cards import DenoiserSettings
    from napari_fddm.training.regions.batches import SOURCES
    from napari_fddm.training.stage2 import RefinerTraining, find_recipe, train_refiner_model

    sources = tuple(name for name in SOURCES if source in (name, "both"))
    if not sources:
        raise ConfigError(f"--source cannot be {source!r}: it must be cells, tiles or both.")
    network = DenoiserSettings(widths=parse_widths(widths))
    settings = RefinerTraining(
        recipe=find_recipe(recipe),
        steps=steps,
        batch_size=batch_size,
        lr=lr,
        sources=sources,
        seed=seed,
    )
    if allow_download:
        from napari_fddm.models.fetching import fetch_needed

        fetch_needed(model)
    if not quiet:
        log_to_terminal()
    card = train_refiner_model(
        datasets,
        model,
        out,
        settings,
        validation_share=validation_share,
        device=device,
        network=network,
    )
    if not quiet:
        say(f"model: {out} ({card.id})")
        for name, scores in card.metrics.get("results", {}).items():
            error = scores["fddm_rate_error_points"]
            rate = "" if error is None else f", rate error {error:.2f} points"
            say(f"  {name}: mean IoU {scores['mean_iou']:.4f}{rate}")


@app.command("regions")
def regions(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write.")],
    model: Annotated[str, typer.Option(help="Model id or folder of stage 1.")] = "fddm-small",
    allow_download: AllowDownloadOption = False,
    slides: Annotated[int, typer.Option(min=1, help="Number of slides.")] = 12,
    tiles: Annotated[
        int, typer.Option(min=1, max=16, help="Edge of a synthetic slide's window, tiles.")
    ] = 10,
    textures: Annotated[
        Path | None,
        typer.Option(
            help="Table of labeled tiles (columns file, label3, patient, slide): composites of "
            "them instead of synthetic slides, in OUT/train and OUT/test."
        ),
    ] = None,
    dataset: Annotated[
        Path | None,
        typer.Option(
            help="Regions of your own slides, made with `dataset build --kind regions --mpp 1`; "
            "those of the training split are left out."
        ),
    ] = None,
    held_out: Annotated[
        list[str] | None,
        typer.Option(help="Patient or slide whose tiles are used in OUT/test only."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="First seed.")] = 20_000,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Make region datasets of your slides, of synthetic ones, or of composites of real tiles."""
    from napari_fddm.models import load_model

    if dataset is not None and textures is not None:
        raise ConfigError("--dataset and --textures exclude each other: choose one.")
    if allow_download:
        from napari_fddm.models.fetching import fetch_needed

        fetch_needed(model)
    loaded = load_model(model, device)
    say = partial(_say, quiet)
    if dataset is not None:
        _regions_of_dataset(dataset, out, loaded, say)
    elif textures is not None:
        _composites(textures, out, loaded, slides, held_out or [], seed, say)
    else:
        _regions_of_synthetic_slides(range(seed, seed + slides), tiles, out, loaded, say)


def _regions_of_dataset(
    dataset: Path, out: Path, model: LoadedModel, say: Callable[[str], None]
) -> None:
    from napari_fddm.training.data import open_dataset
    from napari_fddm.training.regions.annotated_slides import build_from_dataset

    mpp, name = model.card.analysis_mpp, model.card.id
    found = open_dataset(dataset)
    for slide in build_from_dataset(found, out, model, analysis_mpp=mpp, stage1=name):
        say(f"{slide}.npz")
    say(f"region dataset: {out}")


def _regions_of_synthetic_slides(
    seeds: range, tiles: int, out: Path, model: LoadedModel, say: Callable[[str], None]
) -> None:
    from napari_fddm.training.data.stains import SEEN
    from napari_fddm.training.regions.synthetic import synthetic_regions

    name = model.card.id
    for made in synthetic_regions(out, seeds, model, stage1=name, tiles=tiles, stains=SEEN):
        say(f"{made.meta.slide}.npz")
    say(f"region dataset: {out}")


def _composites(
    textures: Path,
    out: Path,
    model: LoadedModel,
    count: int,
    held_out: list[str],
    seed: int,
    say: Callable[[str], None],
) -> None:
    from napari_fddm.training.data.textures import read_textures
    from napari_fddm.training.regions.composites import build_composites, texture_folds

    folds = texture_folds(read_textures(textures), held_out)
    width = int(model.classifier.backbone.num_features)  # type: ignore[arg-type, union-attr]
    train, test = build_composites(
        out,
        folds,
        model,
        width,
        train=count,
        test=max(1, count // 4) if held_out else 0,
        stage1=f"linear heads on the frozen backbone of {model.card.id}",
        seed=seed,
    )
    say(f"region dataset: {train}")
    if held_out:
        say(f"to be measured on: {test}")


def parse_widths(text: str) -> tuple[int, ...]:
    """Return the channels that ``--widths`` lists.

    Raises
    ------
    ConfigError
        If they are not one to four multiples of 8, which the network needs.
    """
    try:
        widths = tuple(int(part) for part in text.split(","))
    except ValueError:
        widths = ()
    if not 1 <= len(widths) <= 4 or any(width < 8 or width % 8 for width in widths):
        raise ConfigError(
            f"--widths cannot be {text!r}: it must be one to four multiples of 8, as 32,64,96."
        )
    return widths


def _say(quiet: bool, text: str) -> None:
    if not quiet:
        say(text)
