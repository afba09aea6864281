"""``napari-fddm rate`` and ``napari-fddm export``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from pathlib import Path


def print_rate(path: Path, *, label: str, definition: str, as_json: bool) -> None:
    """Print the rate of a store, or the whole report as JSON."""
    from napari_fddm.pipeline.report import store_report
    from napari_fddm.pipeline.store import AnalysisStore

    with AnalysisStore.open(path) as store:
        report = store_report(store, label=label, definition=definition)
    if as_json:
        typer.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        typer.echo(rate_line(report))


def rate_line(report: dict[str, Any]) -> str:
    """Say a report's rate in one line."""
    where = f"{report['label']} labels, definition {report['definition']}"
    coverage = report.get("coverage")
    covered = f", {coverage:.0%} of the tissue" if coverage is not None else ""
    if report["rate"] is None:
        return f"necrosis rate: none ({report['reason']}; {where}{covered})"
    return (
        f"necrosis rate: {report['rate']:.1%} (Huvos {report['huvos']}; {where}{covered}) — "
        "research use only"
    )


def export_store(path: Path, out: Path, *, overwrite: bool) -> None:
    """Write a validated copy of a store."""
    from napari_fddm.pipeline.store import AnalysisStore

    with AnalysisStore.open(path) as store:
        store.export(out, overwrite=overwrite)
    typer.echo(f"exported and validated: {out}")
