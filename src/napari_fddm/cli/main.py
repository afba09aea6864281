"""The command `napari-fddm`: its options, and how errors are shown."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from napari_fddm.cli import adapt, dataset, train
from napari_fddm.cli import train_refiner as _train_refiner  # noqa: F401 - registers its commands
from napari_fddm.cli.options import (
    AllowDownloadOption,  # noqa: TC001 - typer reads them
    BatchSizeOption,  # noqa: TC001 - typer reads them
    DeviceOption,  # noqa: TC001 - typer reads them
    DistinctCasesOption,  # noqa: TC001 - typer reads them
    QuietOption,  # noqa: TC001 - typer reads them
    SeriesOption,  # noqa: TC001 - typer reads them
    SlideMppOption,  # noqa: TC001 - typer reads them
)
from napari_fddm.cli.printing import guard_terminal, say, show_help
from napari_fddm.core.errors import FddmError

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="napari-fddm",
    help="Osteosarcoma necrosis rate on whole-slide images. Research use only.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(adapt.app)
app.add_typer(dataset.app)
app.add_typer(train.app)

RegionOption = Annotated[
    tuple[float, float, float, float] | None,
    typer.Option(
        "--region",
        metavar="Y X H W",
        help="Part of the slide, level-0 px, clipped to it and enlarged to whole tiles.",
    ),
]
DefinitionOption = Annotated[
    str, typer.Option(help="Rate definition that is shown first: fddm, strict or one of your own.")
]
DefinitionsOption = Annotated[
    Path | None,
    typer.Option(help="TOML or JSON file with definitions of your own, for this command only."),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        from napari_fddm import __version__

        say(f"napari-fddm {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Osteosarcoma necrosis rate on whole-slide images. Research use only."""


@app.command()
def run(
    slide: Annotated[str, typer.Argument(help="Slide file, folder, URL or synthetic:HxW.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Store to write; beside the slide if unset.")
    ] = None,
    region: RegionOption = None,
    model: Annotated[
        str, typer.Option(help="Model id or folder, or hf:owner/name on the Hugging Face hub.")
    ] = "fddm-small",
    allow_download: AllowDownloadOption = False,
    stage: Annotated[
        str | None,
        typer.Option(
            help="patch: one class per tile of 256 px; refined: one per cell of 32 px. If unset: "
            "refined, or patch if the model classifies tiles only."
        ),
    ] = None,
    mpp: SlideMppOption = None,
    series: SeriesOption = None,
    label_mpp: Annotated[float, typer.Option(help="µm per label cell, 1 to 16.")] = 4.0,
    steps: Annotated[
        int | None,
        typer.Option(
            help="Bridge steps; 0: the cells of stage 1, unrefined. If unset: 1, or 0 if the "
            "model has no refiner."
        ),
    ] = None,
    samples: Annotated[int, typer.Option(help="Number of bridge samples that are averaged.")] = 1,
    eta: Annotated[
        float, typer.Option(help="Noise of the bridge: 1 exact posterior, 0 none.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    device: DeviceOption = "auto",
    batch_size: BatchSizeOption = 8,
    tissue: Annotated[
        str,
        typer.Option(
            metavar="auto|all|MASK",
            help="auto: tiles that touch tissue; all: every tile; or a mask, non-zero on tissue: "
            "PNG or TIFF of the whole slide, an OME-Zarr label of the slide or a part, GeoJSON.",
        ),
    ] = "auto",
    overlap: Annotated[int, typer.Option(help="px by which tiles overlap; FDDM has 16.")] = 0,
    blank_filter: Annotated[
        bool, typer.Option(help="Classify tiles without edges as background, as FDDM does.")
    ] = False,
    report: Annotated[Path | None, typer.Option(help="JSON report to write.")] = None,
    definition: DefinitionOption = "fddm",
    definitions: DefinitionsOption = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--fresh",
            help="Continue a store that exists, or start over; a store with corrections is kept "
            "under another name.",
        ),
    ] = True,
    revise: Annotated[
        bool,
        typer.Option(
            "--revise",
            help="Start over with other settings but keep the corrections; classified tiles are "
            "used again if the model and its input are the same.",
        ),
    ] = False,
    spread: Annotated[
        bool,
        typer.Option(
            "--spread",
            help="Spread painted classes to tissue that looks alike; a run without this option "
            "undoes it.",
        ),
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Analyze a slide."""
    from napari_fddm.cli.run import run_slide

    run_slide(
        slide,
        out,
        region=region,
        model=model,
        allow_download=allow_download,
        mpp=mpp,
        series=series,
        report=report,
        definition=definition,
        definitions=definitions,
        fresh=not resume,
        revise=revise,
        spread=spread,
        quiet=quiet,
        stage=stage,
        label_mpp=label_mpp,
        steps=steps,
        samples=samples,
        eta=eta,
        seed=seed,
        device=device,
        batch_size=batch_size,
        tissue=tissue,
        overlap=overlap,
        blank_filter=blank_filter,
    )


@app.command()
def rate(
    store: Annotated[Path, typer.Argument(help="Analysis store or export.")],
    label: Annotated[str, typer.Option(help="corrected, refined, patch or reader-…")] = "corrected",
    definition: DefinitionOption = "fddm",
    definitions: DefinitionsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report.")] = False,
) -> None:
    """Print the necrosis rate of a store."""
    from napari_fddm.cli.stores import print_rate

    print_rate(store, label=label, definition=definition, definitions=definitions, as_json=as_json)


@app.command()
def evaluate(
    pred: Annotated[
        str,
        typer.Argument(
            help="Label map (store, OME-Zarr, one of its labels, PNG, TIFF), a folder of them, or "
            "a manifest (CSV: pred, truth, case), then without TRUTH."
        ),
    ],
    truth: Annotated[
        str | None,
        typer.Argument(
            help="Label map or folder of the truth; also synthetic:HxW. Not with a manifest."
        ),
    ] = None,
    pred_label: Annotated[
        str | None, typer.Option(help="Label map in PRED: corrected, refined, patch, reader-…")
    ] = None,
    truth_label: Annotated[str | None, typer.Option(help="Label map in TRUTH.")] = None,
    pred_as: Annotated[
        str,
        typer.Option(
            help="Meaning of the pixels of a picture: auto, values, paper or screen colors."
        ),
    ] = "auto",
    truth_as: Annotated[str, typer.Option(help="The same for TRUTH.")] = "auto",
    unknown: Annotated[
        str,
        typer.Option(help="What to do with values and colors of no class: refuse or leave-out."),
    ] = "refuse",
    preset: Annotated[
        str, typer.Option(help="default, or fddm_paper: scores as the paper's code computes them.")
    ] = "default",
    aggregate: Annotated[str | None, typer.Option(help="pooled or per_slide.")] = None,
    absent: Annotated[
        str | None, typer.Option(help="Score of a class that is in neither map: nan or one.")
    ] = None,
    include_bg: Annotated[
        bool | None,
        typer.Option("--include-bg/--no-include-bg", help="Whether means include background."),
    ] = None,
    mask: Annotated[str | None, typer.Option(help="none, tissue or annotation.")] = None,
    tissue: Annotated[str | None, typer.Option(help="Mask for --mask tissue, as in run.")] = None,
    annotation: Annotated[
        str | None, typer.Option(help="Mask picture of the annotated area, for --mask annotation.")
    ] = None,
    mpp: Annotated[float | None, typer.Option(help="µm per pixel of maps without a size.")] = None,
    boundary_um: Annotated[
        float, typer.Option(help="Tolerance of the boundary F-score, µm; 0: none.")
    ] = 32.0,
    calibration: Annotated[
        bool, typer.Option(help="Compare probabilities of a store with the truth.")
    ] = True,
    definitions: DefinitionsOption = None,
    case_pattern: Annotated[
        str | None,
        typer.Option(help="For folders: regular expression that finds the case in a file name."),
    ] = None,
    distinct_cases: DistinctCasesOption = False,
    level: Annotated[float, typer.Option(help="Confidence level of the intervals.")] = 0.95,
    resamples: Annotated[
        int, typer.Option(help="Bootstrap samples of cases for the intervals.")
    ] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="JSON report to write.")] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Markdown report to write; printed if unset.")
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Picture to write: PNG, PDF or SVG.")] = None,
    quiet: QuietOption = False,
) -> None:
    """Compare label maps with the truth: scores, rates, agreement, calibration."""
    from napari_fddm.cli.evaluate import evaluate as compare

    compare(
        pred,
        truth,
        json_file=json_file,
        markdown=markdown,
        figure=figure,
        definitions=definitions,
        case_pattern=case_pattern,
        distinct_cases=distinct_cases,
        tissue=tissue,
        annotation=annotation,
        quiet=quiet,
        pred_label=pred_label,
        truth_label=truth_label,
        pred_as=pred_as,
        truth_as=truth_as,
        unknown=unknown,
        preset=preset,
        aggregate=aggregate,
        absent=absent,
        include_bg=include_bg,
        mask=mask,
        mpp=mpp,
        boundary_um=boundary_um,
        calibration=calibration,
        level=level,
        resamples=resamples,
        seed=seed,
    )


@app.command()
def export(
    store: Annotated[Path, typer.Argument(help="Analysis store.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="OME-Zarr to write.")],
    version: Annotated[
        str, typer.Option(help="Version of OME-Zarr: 0.5, or 0.4 for zarr 2.")
    ] = "0.5",
    overwrite: Annotated[bool, typer.Option(help="Replace an earlier export.")] = False,
    with_name: Annotated[
        bool,
        typer.Option(
            "--with-name",
            help="Keep the names of slide and readers; otherwise the slide is named by its "
            "fingerprint.",
        ),
    ] = False,
) -> None:
    """Write a validated OME-Zarr copy of a store."""
    from napari_fddm.cli.stores import export_store

    export_store(store, out, version=version, overwrite=overwrite, with_name=with_name)


@app.command()
def repair(
    store: Annotated[Path, typer.Argument(help="Analysis store.")],
    from_map: Annotated[
        bool,
        typer.Option(
            "--from-map", help="Begin a new event log from the corrected map as it is stored."
        ),
    ] = False,
    without_corrections: Annotated[
        bool,
        typer.Option(
            "--without-corrections", help="Begin an empty event log: the model's labels again."
        ),
    ] = False,
    reader: Annotated[str, typer.Option(help="Your name or initials, for the record.")] = "",
) -> None:
    """Say whether the event log of a store is in order, and begin a new one if you choose so.

    The old files are kept in the store. Outlines, estimates and sign-offs are not taken over.
    """
    from napari_fddm.cli.repair import repair_store

    repair_store(store, from_map=from_map, without_corrections=without_corrections, reader=reader)


@app.command()
def info(
    slide: Annotated[str, typer.Argument(help="Slide file, folder or URL.")],
    mpp: SlideMppOption = None,
    series: SeriesOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print levels, pixel size and its source, images, backend and warnings of a slide."""
    from napari_fddm.cli.info import print_info

    print_info(slide, mpp=mpp, series=series, as_json=as_json)


@app.command()
def doctor() -> None:
    """Check versions, device, weights, disk and screen."""
    from napari_fddm.cli.doctor import print_checks

    print_checks()


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("demo-output"),
    window: Annotated[
        bool | None,
        typer.Option("--window/--no-window", help="Open napari; by default if possible."),
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Analyze a synthetic slide: classes, rate, preview, OME-Zarr, window."""
    from napari_fddm.cli.demo import run_demo

    run_demo(out, window=window, device=device)


def main() -> None:
    """Run the command line; user errors are one line and exit code 2."""
    guard_terminal()
    try:
        code = app(standalone_mode=False, prog_name="napari-fddm")
    except FddmError as error:
        fail(str(error))
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED
    except Exception as error:
        # Usage errors of typer have a message; without any command it is the help.
        if not (hasattr(error, "format_message") and hasattr(error, "exit_code")):
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            show_help(error.format_message())
            sys.exit(EXIT_USER_ERROR)
        context = getattr(error, "ctx", None)
        command = context.command_path if context else _command_line()
        message = error.format_message().rstrip(".")
        if "unexpected extra argument" in message:
            message += "; one slide or store at a time"
        end = "" if message.endswith("?") else "."
        fail(f"{message}{end} `{command} --help` lists what is allowed.")
    # A command that ended with typer.Exit(code) returns that code; Ctrl-C returns 130.
    if code == EXIT_INTERRUPTED:
        say("interrupted; what was finished is kept: give the same command to go on", err=True)
    if isinstance(code, int):
        sys.exit(code)


def _command_line() -> str:
    """Return the command in ``sys.argv``, as far as it exists, if typer does not know it."""
    known, words = typer.main.get_command(app), ["napari-fddm"]
    for word in sys.argv[1:]:
        commands = getattr(known, "commands", {})
        if word not in commands:
            break
        known = commands[word]
        words.append(word)
    return " ".join(words)


def fail(message: str) -> None:
    """Print one line to standard error and exit with code 2."""
    say(f"napari-fddm: {' '.join(message.split())}", err=True)
    sys.exit(EXIT_USER_ERROR)
