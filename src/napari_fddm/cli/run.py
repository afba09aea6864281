"""``napari-fddm run``: analyzes a slide into a store and prints the rate."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import typer

from napari_fddm.cli.progress import drain
from napari_fddm.cli.stores import rate_text
from napari_fddm.core.config import StageName, load_config
from napari_fddm.core.errors import ConfigError, StoreError
from napari_fddm.core.geometry import Region
from napari_fddm.core.necrosis import find_definition

if TYPE_CHECKING:
    from pathlib import Path


def run_slide(
    slide_name: str,
    out: Path | None,
    *,
    region: tuple[float, float, float, float] | None,
    model: str,
    mpp: float | None,
    report: Path | None,
    quiet: bool,
    definition: str = "fddm",
    definitions: Path | None = None,
    fresh: bool = False,
    revise: bool = False,
    spread: bool = False,
    **settings: Any,
) -> dict[str, Any]:
    """Analyze a slide into a store, write the report, and return it.

    Raises
    ------
    FddmError
        If the user has to change something.
    """
    from napari_fddm.core.definitions import find_definitions
    from napari_fddm.pipeline.outputs import read_report, summarize_renamed
    from napari_fddm.pipeline.store import default_store_path
    from napari_fddm.pipeline.tissue.user_mask import check_tissue
    from napari_fddm.slides import open_slide
    from napari_fddm.slides.mpp import require_mpp
    from napari_fddm.slides.opening import local_place

    settings = _with_defaults(settings, model, quiet=quiet)
    config = load_config(**settings)
    check_tissue(config.tissue)
    if out is not None and out.suffix not in {"", ".zarr"}:
        raise StoreError(
            f"{out.name} cannot be an analysis, which is a folder.",
            hint=f"Write {out.stem}.ome.zarr; `napari-fddm export` makes one file of it.",
        )
    if fresh and revise:
        raise ConfigError("--fresh and --revise exclude each other: choose one.")
    wanted = parse_region(region) if region else None
    own = find_definitions(definitions)
    find_definition(definition, own)
    _check_folder_of(report)
    with open_slide(slide_name, mpp=mpp) as slide:
        require_mpp(slide)  # before warnings are printed: an error is a single line
        if not quiet:
            for warning in slide.warnings:
                typer.echo(f"warning: {warning}", err=True)
        path = local_place(slide_name)
        store = out or default_store_path(path, slide.fingerprint)
        if out is None and path is not None and not store.exists() and not quiet:
            renamed = summarize_renamed(path, slide.fingerprint)
            if renamed is not None:
                typer.echo(f"note: {renamed.text} To go on with it: -o {renamed.path}", err=True)
        from napari_fddm.pipeline.run.analyze import analyze

        run = analyze(
            slide,
            store=store,
            model=model,
            config=config,
            region=wanted,
            fresh=fresh,
            revise=revise,
            spread=spread,
        )
        result = drain(run, quiet=quiet)
    made = read_report(result.store, definition=definition, definitions=own)
    if report is not None:
        write_report(made, report)
    if not quiet:
        typer.echo(rate_text(made))
        typer.echo(f"store: {result.store}")
    return made


def _with_defaults(settings: dict[str, Any], model: str, *, quiet: bool) -> dict[str, Any]:
    """Fill in stage and steps that the model supports, and print what was chosen."""
    from napari_fddm.pipeline.run.model_cards import look_up

    made = {name: value for name, value in settings.items() if value is not None}
    card = look_up(model)
    if card is None or card.refiner is not None:
        return made
    note = ""
    if "stage" not in made and card.shows_tiles:
        made["stage"] = StageName.PATCH
        note = f"{card.id} has no refiner, and radiomics of tiles alone, so --stage patch"
    elif made.get("stage") != StageName.PATCH and "steps" not in made:
        made["steps"] = 0
        note = f"{card.id} has no refiner, so --steps 0"
    if note and not quiet:
        typer.echo(f"note: {note}", err=True)
    return made


def parse_region(values: tuple[float, float, float, float]) -> Region:
    """Return the region that ``--region Y X H W`` names.

    Raises
    ------
    ConfigError
        If the region has no area or a number is not finite.
    """
    if not all(math.isfinite(v) for v in values) or min(values[2:]) <= 0:
        shown = " ".join(f"{v:g}" for v in values)
        raise ConfigError(
            f"--region cannot be {shown}: it must be Y X H W in level-0 pixels, with height and "
            "width above 0."
        )
    return Region(*values)


def write_report(report: dict[str, Any], path: Path) -> None:
    """Write a report as JSON.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"the report {path} cannot be written: {error.strerror}.",
            hint="The analysis itself is finished; `napari-fddm rate STORE --json` prints it.",
        ) from error


def _check_folder_of(report: Path | None) -> None:
    if report is not None and not report.absolute().parent.is_dir():
        raise StoreError(
            f"the report's folder {report.absolute().parent} does not exist.",
            hint="Make it first, or choose another place.",
        )
