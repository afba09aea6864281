"""``napari-fddm train refiner`` and ``train regions``: the second stage and its data."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated

import typer

from napari_fddm.cli.train import app

DeviceOption = Annotated[str, typer.Option(help="auto, cpu, mps, cuda or cuda:N.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]


@app.command("refiner")
def refiner(
    out: Annotated[Path, typer.Option("-o", "--out", help="Model folder to write.")],
    datasets: Annotated[
        list[Path], typer.Option("--regions", help="Region dataset; may be given several times.")
    ],
    model: Annotated[
        str, typer.Option(help="Model id or folder whose first stage is kept.")
    ] = "fddm-small",
    recipe: Annotated[
        str,
        typer.Option(help="bridge; direct: one step alone; fddm_paper: as published."),
    ] = "bridge",
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps.")] = 1200,
    batch_size: Annotated[int, typer.Option(min=1, help="Regions per step.")] = 8,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate; the recipe's own if unset.")
    ] = None,
    source: Annotated[
        str, typer.Option(help="Coarse maps: cells (token maps), tiles, or both in turn.")
    ] = "cells",
    widths: Annotated[
        str,
        typer.Option(
            help="Channels of the network at each resolution, multiples of 8; the paper's is "
            "128,512,1024."
        ),
    ] = "32,64,96",
    validation_share: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="Share of the cases that is only measured.")
    ] = 0.15,
    seed: Annotated[int, typer.Option(min=0, help="Weights, order, augmentation, noise.")] = 2001,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Train the second stage on region datasets; the same command goes on after a stop."""
    from napari_fddm.cli.train_refiner import train_refiner

    train_refiner(
        datasets,
        model,
        out,
        recipe=recipe,
        steps=steps,
        batch_size=batch_size,
        lr=lr,
        source=source,
        widths=widths,
        validation_share=validation_share,
        seed=seed,
        device=device,
        quiet=quiet,
    )


@app.command("regions")
def regions(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write.")],
    model: Annotated[str, typer.Option(help="Model id or folder of stage 1.")] = "fddm-small",
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
            help="Regions of your own slides, of `dataset build --kind regions --mpp 1`; those "
            "of the splits that stage 1 was not trained on are taken."
        ),
    ] = None,
    held_out: Annotated[
        list[str] | None,
        typer.Option(help="Patient or slide whose tiles are for OUT/test alone."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="First seed.")] = 20_000,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Make region datasets of your slides, of synthetic ones, or of composites of real tiles."""
    from napari_fddm.cli.train_refiner import build_regions

    build_regions(
        out,
        model=model,
        slides=slides,
        tiles=tiles,
        textures=textures,
        dataset=dataset,
        held_out=held_out or [],
        seed=seed,
        device=device,
        quiet=quiet,
    )
