"""``napari-fddm evaluate``: compares label maps with the truth and writes the report."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

import typer

from napari_fddm.core.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_fddm.evaluation.metrics import MetricSettings
    from napari_fddm.evaluation.pairs import Pairs
    from napari_fddm.evaluation.summary import EvaluationSettings


def evaluate(
    pred: str,
    truth: str | None,
    *,
    json_file: Path | None,
    markdown: Path | None,
    figure: Path | None,
    definitions: Path | None,
    case_pattern: str | None,
    distinct_cases: bool,
    tissue: str | None,
    annotation: str | None,
    quiet: bool,
    **options: Any,
) -> dict[str, Any]:
    """Compare label maps with the truth, write the requested files, and return the report.

    Raises
    ------
    FddmError
        If the user has to change something.
    """
    from napari_fddm.evaluation.markdown import to_markdown
    from napari_fddm.evaluation.pairs import find_pairs

    settings = _settings(definitions, **options)
    mode = settings.slides.metrics.mask
    for name, given in (("tissue", tissue), ("annotation", annotation)):
        if given is not None and mode != name:
            raise ConfigError(f"--{name} belongs to --mask {name}, but the mask is {mode}.")
    found = find_pairs(pred, truth, case_pattern=case_pattern, distinct_cases=distinct_cases)
    pairs = _with_masks(found, tissue, annotation)
    for file in (json_file, markdown, figure):
        _check_folder(file)
    draw = _drawing() if figure is not None else None
    report = _drain(pairs, settings, quiet=quiet)
    if json_file is not None:
        text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
        _write(json_file, text + "\n")
    text = to_markdown(report)
    if markdown is not None:
        _write(markdown, text)
    elif not quiet:
        typer.echo(text, nl=False)
    if figure is not None and draw is not None:
        draw(report, figure)
    return report


def _settings(
    definitions: Path | None,
    *,
    pred_label: str | None,
    truth_label: str | None,
    pred_as: str,
    truth_as: str,
    unknown: str,
    mpp: float | None,
    boundary_um: float,
    calibration: bool,
    level: float,
    resamples: int,
    seed: int,
    preset: str,
    **overrides: Any,
) -> EvaluationSettings:
    from napari_fddm.core.definitions import find_definitions
    from napari_fddm.evaluation.intervals import BootstrapSettings
    from napari_fddm.evaluation.reading import ReadingSettings
    from napari_fddm.evaluation.slides import SlideSettings
    from napari_fddm.evaluation.summary import EvaluationSettings
    from napari_fddm.interop.class_images import Reading

    known = get_args(Reading)
    for name, value in (("--pred-as", pred_as), ("--truth-as", truth_as)):
        _check(name, value, known)
    _check("--unknown", unknown, ("refuse", "leave-out"))
    leave_out = unknown == "leave-out"
    if not boundary_um >= 0:
        raise ConfigError(f"--boundary-um cannot be {boundary_um:g}: it must be 0 or more.")
    reading: Any = {"leave_out": leave_out, "mpp": mpp}
    metrics, name = _metrics(preset, overrides)
    return EvaluationSettings(
        SlideSettings(
            metrics,
            ReadingSettings(pred_label, pred_as, **reading),  # type: ignore[arg-type]
            ReadingSettings(truth_label, truth_as, **reading),  # type: ignore[arg-type]
            boundary_um or None,
            calibration,
        ),
        BootstrapSettings(resamples, level, seed),
        find_definitions(definitions),
        name,
    )


def _metrics(preset: str, overrides: dict[str, Any]) -> tuple[MetricSettings, str]:
    from napari_fddm.evaluation.metrics import PRESETS

    allowed = {
        "aggregate": ("pooled", "per_slide"),
        "absent": ("nan", "one"),
        "mask": ("none", "tissue", "annotation"),
    }
    _check("--preset", preset, tuple(PRESETS))
    given = {key: value for key, value in overrides.items() if value is not None}
    for key, values in allowed.items():
        if key in given:
            _check(f"--{key}", given[key], values)
    metrics = replace(PRESETS[preset], **given)
    return metrics, preset if metrics == PRESETS[preset] else f"{preset}, changed"


def _check(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{option} cannot be {value!r}: it must be {', '.join(allowed)}.")


def _with_masks(pairs: Pairs, tissue: str | None, annotation: str | None) -> Pairs:
    """Add the masks of the command line to the only pair."""
    given: dict[str, Any] = {"tissue": tissue, "annotation": annotation}
    given = {key: value for key, value in given.items() if value is not None}
    if not given:
        return pairs
    if len(pairs.pairs) != 1:
        raise ConfigError(
            f"--{' and --'.join(given)} belong to one slide, and there are {len(pairs.pairs)}.",
            hint="Give masks as columns of a manifest.",
        )
    return replace(pairs, pairs=(replace(pairs.pairs[0], **given),))


def _drain(pairs: Pairs, settings: EvaluationSettings, *, quiet: bool) -> dict[str, Any]:
    """Evaluate slide by slide, and print the progress if there are several."""
    from napari_fddm.evaluation.summary import evaluate_pairs

    total = len(pairs.pairs)
    with closing(evaluate_pairs(pairs, settings)) as run:
        done = 0
        while True:
            try:
                result = next(run)
            except StopIteration as stop:
                report: dict[str, Any] = stop.value
                return report
            done += 1
            if total > 1 and not quiet:
                typer.echo(f"{done} of {total}: {result.slide}", err=True)


def _drawing() -> Callable[[dict[str, Any], Path], None]:
    """Return the function that draws the figure; called before the evaluation begins.

    Raises
    ------
    ConfigError
        If matplotlib is not installed.
    """
    try:
        from napari_fddm.evaluation.figures import draw_report
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--figure needs {error.name}, which is not installed.",
            hint='Install it with pip install "napari-fddm[figures]".',
        ) from error
    return draw_report


def _check_folder(path: Path | None) -> None:
    if path is not None and not path.absolute().parent.is_dir():
        raise StoreError(
            f"the folder {path.absolute().parent} does not exist.",
            hint="Make it first, or choose another place.",
        )


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror}.", hint="Choose another place."
        ) from error
