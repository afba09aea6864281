"""``napari-fddm dataset``: manifests are made, their images counted and cut into samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_fddm.cli.options import (
    DistinctCasesOption,  # noqa: TC001 - typer reads them
    QuietOption,  # noqa: TC001 - typer reads them
)
from napari_fddm.cli.progress import drain_job

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_fddm.core.class_names import ClassNames
    from napari_fddm.training.data.manifest import Manifest

app = typer.Typer(
    name="dataset", help="Make training data from manifests, and count them.", no_args_is_help=True
)

ManifestArgument = Annotated[Path, typer.Argument(help="CSV or parquet, one row per image.")]
LabelOption = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        metavar="NAME=CLASS",
        help="Class of a label: BG, VT, NC, FH, HC, IF or NT; - leaves it out.",
    ),
]
MixedOption = Annotated[
    str, typer.Option(help="Tiles labeled viable and non-viable: viable, nonviable or exclude.")
]
ValShareOption = Annotated[float, typer.Option(help="Share of the cases for validation.")]
TestShareOption = Annotated[float, typer.Option(help="Share of the cases for the test.")]
SplitSeedOption = Annotated[int, typer.Option(help="Seed with which cases are drawn.")]
HoldOutOption = Annotated[
    list[str] | None,
    typer.Option("--hold-out", metavar="CASE", help="Use this case for validation; none is drawn."),
]


@app.command()
def tcia(
    folder: Annotated[Path, typer.Argument(help="Folder with Training-Set-1, -2 and the table.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Manifest to write.")],
    table: Annotated[Path | None, typer.Option(help="ML_Features_1144.csv.")] = None,
) -> None:
    """Write a manifest of the public TCIA collection Osteosarcoma-Tumor-Assessment."""
    from napari_fddm.training.data.tcia import read_collection, write_collection

    found = read_collection(folder, table)
    write_collection(found, out)
    typer.echo(f"{len(found.tiles)} tiles: {out}")
    if found.unlabeled:
        typer.echo(
            f"left out: {len(found.unlabeled)} images that the table does not name", err=True
        )
    if found.absent:
        typer.echo(f"not there: {len(found.absent)} images that the table names", err=True)
    if found.nameless:
        typer.echo(f"left out: {found.nameless} rows of the table without a name", err=True)


@app.command()
def counts(
    manifest: ManifestArgument,
    label: LabelOption = None,
    mixed: MixedOption = "exclude",
    val_share: ValShareOption = 0.2,
    test_share: TestShareOption = 0.0,
    seed: SplitSeedOption = 0,
    hold_out: HoldOutOption = None,
    distinct_cases: DistinctCasesOption = False,
) -> None:
    """Print the tiles per class and split of a manifest, or the samples of a dataset."""
    from napari_fddm.training.data import open_dataset
    from napari_fddm.training.data.counts import ClassCounts
    from napari_fddm.training.data.datasets import INDEX

    if (manifest / INDEX).is_file():
        made = open_dataset(manifest)
        typer.echo(made.counts().to_text())
        print_notes(made.said())
        return
    names = class_names(label, mixed)
    divided = divide(
        manifest, names, val_share, test_share, seed, hold_out, distinct_cases=distinct_cases
    )
    tiles = [s for s in divided.sources if s.value is not None]
    _print_split(divided)
    if tiles:
        values = [s.value or 0 for s in tiles]
        counted = ClassCounts.of(_array(values), [s.split or "" for s in tiles])
        typer.echo(counted.to_text())
    print_notes(divided.notes)
    slides = len(divided.sources) - len(tiles)
    if slides:
        typer.echo(f"and {slides} annotated slides: `dataset build` counts their patches")


@app.command()
def build(
    manifest: ManifestArgument,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the dataset.")],
    kind: Annotated[str, typer.Option(help="patches, for classifiers, or regions.")] = "patches",
    mpp: Annotated[float | None, typer.Option(help="µm per px; 1, and 2 for regions.")] = None,
    k: Annotated[int, typer.Option(help="A region spans 256 · 2^k px of 1 µm.")] = 3,
    min_labeled: Annotated[
        float, typer.Option(help="Share of a sample that must have a label.")
    ] = 0.5,
    min_tissue: Annotated[
        float, typer.Option(help="Share of a patch that must be stained.")
    ] = 0.05,
    most: Annotated[
        int, typer.Option("--max", help="Most patches per class, or regions, of a slide; 0: all.")
    ] = 0,
    label: LabelOption = None,
    mixed: MixedOption = "exclude",
    val_share: ValShareOption = 0.2,
    test_share: TestShareOption = 0.0,
    seed: SplitSeedOption = 0,
    hold_out: HoldOutOption = None,
    distinct_cases: DistinctCasesOption = False,
    quiet: QuietOption = False,
) -> None:
    """Cut patches or regions; after a stop, the same command continues."""
    from napari_fddm.core.errors import DataError
    from napari_fddm.training.data import build_dataset
    from napari_fddm.training.data.patches import PatchSettings, RegionSettings

    settings: PatchSettings | RegionSettings
    if kind == "patches":
        settings = PatchSettings(mpp or 1.0, min_labeled, min_tissue, most)
    elif kind == "regions":
        settings = RegionSettings(k, mpp or 2.0, min_labeled, most)
    else:
        raise DataError(f"--kind cannot be {kind!r}: it must be patches or regions.")
    names = class_names(label, mixed)
    divided = divide(
        manifest, names, val_share, test_share, seed, hold_out, distinct_cases=distinct_cases
    )
    made = drain_job(build_dataset(divided, out, settings, names), "cutting", quiet=quiet)
    if not quiet:
        _print_split(divided)
        typer.echo(made.counts().to_text())
        print_notes(made.said())
        typer.echo(f"dataset: {out}")


def class_names(label: list[str] | None, mixed: str) -> ClassNames:
    """Return the class names with the user's own labels."""
    from napari_fddm.core.class_names import ClassNames

    return ClassNames.with_own(label or [], mixed)


def divide(
    path: Path,
    names: ClassNames,
    val_share: float,
    test_share: float,
    seed: int,
    hold_out: list[str] | None,
    *,
    distinct_cases: bool,
) -> Manifest:
    """Read a manifest and split its cases as the options say."""
    from napari_fddm.training.data import read_manifest, split_manifest

    return split_manifest(
        read_manifest(path, names, distinct_cases=distinct_cases),
        val_share=val_share,
        test_share=test_share,
        seed=seed,
        hold_out=hold_out or (),
    )


def _print_split(manifest: Manifest) -> None:
    for split in ("train", "val", "test"):
        cases = sorted({s.case for s in manifest.sources if s.split == split})
        if cases:
            typer.echo(f"{split}: {len(cases)} cases ({_listed(cases)})")


def print_notes(notes: Iterable[str]) -> None:
    """Print what was left out, a line for each."""
    for note in notes:
        typer.echo(f"note: {note}")


def _listed(cases: list[str]) -> str:
    shown = ", ".join(cases[:8])
    return f"{shown} …" if len(cases) > 8 else shown


def _array(values: list[int]) -> Any:
    import numpy as np

    return np.array(values, np.int64)
