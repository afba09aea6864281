"""``napari-fddm train refiner`` and ``napari-fddm train regions``."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

import typer

from napari_fddm.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def train_refiner(
    regions: Sequence[Path],
    model: str,
    out: Path,
    *,
    recipe: str,
    steps: int,
    batch_size: int,
    lr: float | None,
    source: str,
    widths: str,
    validation_share: float,
    seed: int,
    device: str,
    quiet: bool,
) -> None:
    """Train a second stage and print what it reaches.

    Raises
    ------
    FddmError
        For everything a user can mend.
    """
    from napari_fddm.core.cards import DenoiserSettings
    from napari_fddm.training.regions.batches import SOURCES
    from napari_fddm.training.stage2.model_folder import train_refiner_model
    from napari_fddm.training.stage2.recipes import find_recipe
    from napari_fddm.training.stage2.train import RefinerTraining

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
    if not quiet:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    card = train_refiner_model(
        regions,
        model,
        out,
        settings,
        validation_share=validation_share,
        device=device,
        network=network,
    )
    if not quiet:
        typer.echo(f"model: {out} ({card.id})")
        for name, scores in card.metrics.get("results", {}).items():
            error = scores["fddm_rate_error_points"]
            said = "" if error is None else f", rate error {error:.2f} points"
            typer.echo(f"  {name}: mean IoU {scores['mean_iou']:.4f}{said}")


def parse_widths(text: str) -> tuple[int, ...]:
    """Return the channels that ``--widths`` lists.

    Raises
    ------
    ConfigError
        If they are no whole numbers, or no multiples of 8, which the network needs.
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


def build_regions(
    out: Path,
    *,
    model: str,
    slides: int,
    tiles: int,
    textures: Path | None,
    dataset: Path | None,
    held_out: Sequence[str],
    seed: int,
    device: str,
    quiet: bool,
) -> None:
    """Write region datasets of annotated slides, of synthetic ones, or of composites.

    Raises
    ------
    FddmError
        For everything a user can mend.
    """
    from napari_fddm.models.bundle import load_model

    if dataset is not None and textures is not None:
        raise ConfigError("--dataset and --textures exclude each other: choose one.")
    loaded = load_model(model, device)
    say = partial(_say, quiet)
    if dataset is not None:
        from napari_fddm.training.data.datasets import open_dataset
        from napari_fddm.training.regions.annotated_slides import build_from_dataset

        mpp, name = loaded.card.analysis_mpp, loaded.card.id
        found = open_dataset(dataset)
        for slide in build_from_dataset(found, out, loaded, analysis_mpp=mpp, stage1=name):
            say(f"{slide}.npz")
        say(f"region dataset: {out}")
        return
    if textures is None:
        from napari_fddm.training.data.stains import SEEN
        from napari_fddm.training.regions.synthetic import synthetic_regions

        seeds = range(seed, seed + slides)
        stage1 = loaded.card.id
        for made in synthetic_regions(out, seeds, loaded, stage1=stage1, tiles=tiles, stains=SEEN):
            say(f"{made.meta.slide}.npz")
        say(f"region dataset: {out}")
        return
    from napari_fddm.training.data.textures import read_textures
    from napari_fddm.training.regions.composites import build_composites, texture_folds

    folds = texture_folds(read_textures(textures), held_out)
    width = int(loaded.classifier.backbone.num_features)  # type: ignore[arg-type, union-attr]
    train, test = build_composites(
        out,
        folds,
        loaded,
        width,
        train=slides,
        test=max(1, slides // 4) if held_out else 0,
        stage1=f"linear heads on the frozen backbone of {loaded.card.id}",
        seed=seed,
    )
    say(f"region dataset: {train}")
    if held_out:
        say(f"to be measured on: {test}")


def _say(quiet: bool, text: str) -> None:
    if not quiet:
        typer.echo(text)
