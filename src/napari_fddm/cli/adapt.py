"""``napari-fddm adapt``: a model learns from corrections; adapted models are listed, exported."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated

import typer

from napari_fddm.cli.options import (
    AllowDownloadOption,  # noqa: TC001 - typer reads them
    BatchSizeOption,  # noqa: TC001 - typer reads them
    DeviceOption,  # noqa: TC001 - typer reads them
    QuietOption,  # noqa: TC001 - typer reads them
    SeriesOption,  # noqa: TC001 - typer reads them
    SlideMppOption,  # noqa: TC001 - typer reads them
)
from napari_fddm.cli.printing import say, say_json
from napari_fddm.core.errors import ConfigError

if TYPE_CHECKING:
    from napari_fddm.core.protocols import Slide

app = typer.Typer()


@app.command()
def adapt(
    store: Annotated[
        Path | None, typer.Argument(help="Analysis store with corrections.", show_default=False)
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the adapted model.")] = "",
    slide: Annotated[
        str | None, typer.Option(help="The slide; if unset, the one beside the store.")
    ] = None,
    model: Annotated[str, typer.Option(help="Model to adapt: id, name or folder.")] = (
        "fddm-small"
    ),
    allow_download: AllowDownloadOption = False,
    lora: Annotated[
        bool, typer.Option("--lora", help="Also train adapters of the backbone; takes minutes.")
    ] = False,
    listing: Annotated[bool, typer.Option("--list", help="List adapted models.")] = False,
    export: Annotated[
        Path | None,
        typer.Option(help="Write the adapted model NAME as a folder that needs no other model."),
    ] = None,
    mpp: SlideMppOption = None,
    series: SeriesOption = None,
    device: DeviceOption = "auto",
    batch_size: BatchSizeOption = 8,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Let a model learn from the corrections of an analysis, if that helps."""
    if listing:
        print_adapters()
        return
    if not name:
        raise ConfigError("--name is missing.", hint="Give the adapted model a name.")
    if store is not None:
        learn(
            store,
            name,
            slide_name=slide,
            model=model,
            allow_download=allow_download,
            lora=lora,
            mpp=mpp,
            series=series,
            device=device,
            batch_size=batch_size,
            as_json=as_json,
            quiet=quiet,
        )
    elif export is None:
        raise ConfigError("no store is named.", hint="Give the analysis with the corrections.")
    if export is not None:
        export_model(name, export, quiet=quiet)


def print_adapters() -> None:
    """Print the adapted models, one on each line."""
    from napari_fddm.training.adapt.models import list_adapters

    for adapter in list_adapters():
        say(adapter.in_words)


def export_model(name: str, destination: Path, *, quiet: bool) -> None:
    """Write an adapted model as a folder that needs no other model."""
    from napari_fddm.training.adapt.models import export_adapter, find_adapter

    export_adapter(find_adapter(name), destination)
    if not quiet:
        say(f"exported: {destination}")


def learn(
    store: Path,
    name: str,
    *,
    slide_name: str | None,
    model: str,
    allow_download: bool,
    lora: bool,
    mpp: float | None,
    series: int | None = None,
    device: str,
    batch_size: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Learn from the corrections in a store and print the result.

    Raises
    ------
    FddmError
        If the user has to change something.
    """
    from napari_fddm.cli.progress import drain
    from napari_fddm.core.config import load_config
    from napari_fddm.training.adapt.guidance import count_strokes

    config = load_config(device=device, batch_size=batch_size)
    strokes = count_strokes(store)
    if not quiet:
        say(f"strokes at {strokes.in_words}", err=True)
    strokes.require_enough()
    from napari_fddm.models import load_model
    from napari_fddm.models.fetching import fetch_needed
    from napari_fddm.training.adapt import adapt_events

    if allow_download:
        fetch_needed(model)

    with _open_slide_of(store, slide_name, mpp, series) as opened:
        run = adapt_events(
            opened,
            store=store,
            model=load_model(model, config.device),
            model_name=model,
            name=name,
            lora=lora,
            batch_size=config.batch_size,
        )
        result = drain(run, quiet=quiet)
    if as_json:
        say_json(result.to_json())
    elif not quiet:
        say(result.in_words)
        if result.folder is not None:
            say(f"model: {name} (napari-fddm run SLIDE --revise --model {name})")


def _open_slide_of(
    store: Path, slide_name: str | None, mpp: float | None, series: int | None
) -> Slide:
    """Open the slide of a store: that which is named, or the one beside it."""
    from napari_fddm.pipeline.store import AnalysisStore
    from napari_fddm.pipeline.store.layout import slide_beside
    from napari_fddm.slides import open_slide

    with AnalysisStore.open(store) as opened:
        stored_mpp = opened.provenance.get("slide", {}).get("mpp")
    if slide_name is None:
        beside, beside_series = slide_beside(store)
        if beside is None:
            raise ConfigError(
                f"the slide of {store} is not beside it.", hint="Name it with --slide."
            )
        slide_name, series = str(beside), beside_series if series is None else series
    slide = open_slide(slide_name, mpp=mpp, series=series)
    if slide.mpp.value is None and stored_mpp is not None:
        slide.close()
        slide = open_slide(slide_name, mpp=float(stored_mpp), series=series)
    return slide
