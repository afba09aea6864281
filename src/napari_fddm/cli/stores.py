"""``napari-fddm rate`` and ``napari-fddm export``: print the rate of a store, and copy it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from napari_fddm.core.necrosis import beside
from napari_fddm.core.signoff import SignOff

if TYPE_CHECKING:
    from pathlib import Path


def print_rate(
    path: Path, *, label: str, definition: str, definitions: Path | None, as_json: bool
) -> None:
    """Print the rate of a store, or the whole report as JSON."""
    from napari_fddm.core.definitions import find_definitions
    from napari_fddm.pipeline.outputs import read_report

    own = find_definitions(definitions)
    report = read_report(path, label=label, definition=definition, definitions=own)
    if as_json:
        typer.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        typer.echo(rate_text(report))


def rate_text(report: dict[str, Any]) -> str:
    """Return the rates of a report as text, with coverage, labels, signature and notes."""
    coverage = report.get("coverage")
    share = f"{beside(coverage or 0.0, 1.0, digits=0, per=100)}%"
    share = "less than 1%" if coverage and coverage < 0.005 else share
    covered = f", {share} of the tissue" if coverage is not None else ""
    lines = [
        f"necrosis rate, {name}: {_one_rate(result)}"
        for name, result in report["definitions"].items()
    ]
    inside = report.get("inside_tumor_bed")
    if inside is not None:
        lines += [
            f"inside the outlined tumor bed, {name}: {_one_rate(result)}"
            for name, result in inside["definitions"].items()
        ]
    labels = f"the {report['label']} labels"
    if report["label"] == "corrected" and not report["edited"]:
        labels = "the model's labels, nothing corrected"
    lines.append(f"from {labels}{covered}; research use only, not a diagnosis")
    signed = report.get("sign_off")
    if signed is not None:
        lines.append(SignOff(**signed).title)
    return "\n".join(lines + [f"note: {note}" for note in report["notes"]])


def _one_rate(result: dict[str, Any]) -> str:
    if result["rate"] is None:
        return f"none ({result['reason']}), {result['formula']}"
    limits = (*result["huvos_cutoffs"], 1.0 - result["huvos_epsilon"])
    rate = beside(result["rate"], *limits, digits=1, per=100)
    return f"{rate}% (Huvos {result['huvos']}), {result['formula']}"


def export_store(
    path: Path, out: Path, *, version: str, overwrite: bool, with_name: bool = False
) -> None:
    """Write a validated copy of a store; names of slide and readers only if asked."""
    from napari_fddm.pipeline.outputs import export_version
    from napari_fddm.pipeline.store import AnalysisStore

    with AnalysisStore.open(path) as store:
        notes = export_version(
            store, out, version=version, overwrite=overwrite, with_name=with_name
        )
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"exported as OME-Zarr {version} and validated: {out}")
