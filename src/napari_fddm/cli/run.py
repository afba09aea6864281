"""``napari-fddm run``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from napari_fddm.cli.progress import drain
from napari_fddm.cli.stores import rate_text
from napari_fddm.core.config import load_config
from napari_fddm.core.errors import StoreError
from napari_fddm.core.geometry import Region

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
    **settings: Any,
) -> dict[str, Any]:
    """Analyze a slide into a store, write the report, and return it.

    Raises
    ------
    FddmError
        For everything a user can mend.
    """
    from napari_fddm.pipeline.layout import default_store_path
    from napari_fddm.slides.mpp import require_mpp
    from napari_fddm.slides.opening import local_place, open_slide

    config = load_config(**settings)
    with open_slide(slide_name, mpp=mpp) as slide:
        require_mpp(slide)  # before anything else is said: one error is one line
        if not quiet:
            for warning in slide.warnings:
                typer.echo(f"warning: {warning}", err=True)
        path = local_place(slide_name)
        store = out or default_store_path(path, slide.fingerprint)
        _check_folder_of(report)
        from napari_fddm.pipeline.analyze import analyze

        result = drain(
            analyze(
                slide,
                store=store,
                model=model,
                config=config,
                region=Region(*region) if region else None,
            ),
            quiet=quiet,
        )
    if report is not None:
        write_report(result.report, report)
    if not quiet:
        typer.echo(rate_text(result.report))
        typer.echo(f"store: {result.store}")
    return result.report


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
