"""Evaluate all slides and collect the numbers of the report, its tables and figures."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.necrosis import DEFINITIONS
from napari_fddm.evaluation.boundary import f_score_of
from napari_fddm.evaluation.calibration import BINS
from napari_fddm.evaluation.intervals import FEW_CASES, BootstrapSettings, CaseBootstrap
from napari_fddm.evaluation.metrics import (
    SCORES,
    averaged_classes,
    mean_of_known,
    stacked,
    weighted_scores,
)
from napari_fddm.evaluation.rates import (
    PREDICTION,
    TRUTH,
    pool_mm2,
    rated_cases,
    rated_slides,
    rates_json,
)
from napari_fddm.evaluation.slides import SlideSettings, evaluate_slide

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from napari_fddm.core.necrosis import NecrosisDefinition
    from napari_fddm.evaluation.metrics import MetricSettings
    from napari_fddm.evaluation.pairs import Pairs
    from napari_fddm.evaluation.slides import SlideResult

SCHEMA = 1
"""Version of the JSON report."""
_PACKAGES = ("napari-fddm", "numpy", "scipy", "zarr", "tifffile", "pillow")


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """All settings of an evaluation.

    Attributes
    ----------
    slides : SlideSettings
        How each slide is compared.
    bootstrap : BootstrapSettings
        How intervals are made.
    definitions : tuple of NecrosisDefinition
        The user's own, beside ours.
    preset : str
        Name of the metric settings, for the report.
    """

    slides: SlideSettings = field(default_factory=SlideSettings)
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)
    definitions: tuple[NecrosisDefinition, ...] = ()
    preset: str = "default"


def evaluate_pairs(
    pairs: Pairs, settings: EvaluationSettings
) -> Generator[SlideResult, None, dict[str, Any]]:
    """Compare all slides: yields each one's result and returns the report.

    Raises
    ------
    FddmError
        As `evaluate_slide`; and if a slide is there twice under two names.
    """
    results: list[SlideResult] = []
    for pair in pairs.pairs:
        results.append(evaluate_slide(pair, settings.slides))
        _refuse_repeat(results)
        yield results[-1]
    return summarize(results, pairs, settings)


def _refuse_repeat(results: Sequence[SlideResult]) -> None:
    """Refuse a slide with the same fingerprint or the same labels as another one."""
    new = results[-1]
    for old in results[:-1]:
        for key in ("slide_fingerprint", "labels_sha256"):
            one, other = (r.inputs[TRUTH].get(key) for r in (old, new))
            # two maps of a single class may be equal by chance
            telling = key == "slide_fingerprint" or new.confusion.counts.any(axis=1).sum() > 1
            if one is not None and one == other and telling:
                what = "fingerprint" if key == "slide_fingerprint" else "truth"
                raise ConfigError(
                    f"{old.slide} and {new.slide} are the same slide: they have the same {what}.",
                    hint="A slide counts once; remove one of them.",
                )


def summarize(
    results: Sequence[SlideResult], pairs: Pairs, settings: EvaluationSettings
) -> dict[str, Any]:
    """Return the report of all slides as plain JSON values."""
    bootstrap = CaseBootstrap([r.case for r in results], settings.bootstrap)
    if not pairs.cases_known:
        bootstrap.reason = (
            "no intervals: it is not known which slides are of one patient; give "
            "--case-pattern or a manifest"
        )
    table = results[0].confusion.table
    slides = rated_slides(results)
    cases = rated_cases(slides) if pairs.cases_known else []
    raters = [TRUTH, PREDICTION, *dict.fromkeys(name for r in results for name in r.readers)]
    known = (*DEFINITIONS.values(), *settings.definitions)
    sized = all(r.cell_um is not None for r in results)
    return {
        "kind": "napari-fddm evaluation",
        "schema": SCHEMA,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
        "research_use_only": True,
        "settings": _settings_json(settings),
        "notes": [
            *pairs.notes,
            *_flattery(settings.slides.metrics),
            *_notes(results, bootstrap),
        ],
        "slides": len(results),
        "cases": len(bootstrap.names) if pairs.cases_known else None,
        "classes": [{"value": c.value, "short": c.short, "name": c.name} for c in table],
        "confusion": stacked([r.confusion for r in results]).sum(axis=0).tolist(),
        "scores": _scores(results, settings, bootstrap),
        "areas": _areas(results) if sized else None,
        "share_errors": _share_errors(results),
        "boundary": _boundary(results, settings, bootstrap),
        "intervals": _intervals(bootstrap, pairs),
        "rates": {
            d.name: {
                "title": d.title,
                "formula": d.formula,
                "by_slide": rates_json(slides, d, raters, None),
                "by_case": rates_json(cases, d, raters, bootstrap) if cases else None,
            }
            for d in known
        },
        "calibration": _calibration(results),
        "inputs": [
            {
                "slide": r.slide,
                "case": r.case if pairs.cases_known else None,
                "cells": int(r.confusion.counts.sum()),
                "covered": r.covered,
                "covered_tissue": r.covered_tissue,
                "confusion": r.confusion.counts.tolist(),
                **r.inputs,
            }
            for r in results
        ],
    }


def _scores(
    results: Sequence[SlideResult], settings: EvaluationSettings, bootstrap: CaseBootstrap
) -> dict[str, Any]:
    counts = stacked([r.confusion for r in results])
    metrics, table = settings.slides.metrics, results[0].confusion.table
    keep = averaged_classes(results[0].confusion, metrics)
    once = np.ones((1, len(results)), np.int64)
    by_class: dict[str, dict[str, Any]] = {c.short: {} for c in table}
    means: dict[str, Any] = {}
    for name in SCORES:
        scores, mean = weighted_scores(counts, once, name, metrics, keep)
        draws, mean_draws = weighted_scores(counts, bootstrap.slide_weights, name, metrics, keep)
        for tissue in table:
            column = tissue.channel
            by_class[tissue.short][name] = _numbered(scores[0, column], draws[:, column], bootstrap)
        means[name] = _numbered(mean[0], mean_draws, bootstrap)
    pooled = counts.sum(axis=0)
    for tissue in table:
        by_class[tissue.short]["true_cells"] = int(pooled[tissue.channel].sum())
        by_class[tissue.short]["predicted_cells"] = int(pooled[:, tissue.channel].sum())
    return {
        "by_class": by_class,
        "mean": means,
        "mean_over": [c.short for c in table if keep[c.channel]],
        "accuracy": float(np.trace(pooled) / pooled.sum()),
    }


def _areas(results: Sequence[SlideResult]) -> dict[str, Any]:
    true = pool_mm2([r.confusion.true_areas(r.cell_mm2) for r in results]).by_short()
    predicted = pool_mm2([r.confusion.predicted_areas(r.cell_mm2) for r in results]).by_short()
    return {
        short: {
            "true_mm2": true[short],
            "predicted_mm2": predicted[short],
            "error_mm2": predicted[short] - true[short],
        }
        for short in true
    }


def _share_errors(results: Sequence[SlideResult]) -> dict[str, Any]:
    """Return the mean over slides of |predicted − true share|, by class (paper, table 3)."""
    table = results[0].confusion.table
    errors = mean_of_known(np.stack([r.confusion.share_errors() for r in results]), axis=0)
    pooled = reduce(add, (r.confusion for r in results))
    true, predicted = pooled.shares()
    return {
        c.short: {
            "true_share": _plain(true[c.channel]),
            "predicted_share": _plain(predicted[c.channel]),
            "mean_absolute_error": _plain(errors[c.channel]),
        }
        for c in table
    }


def _boundary(
    results: Sequence[SlideResult], settings: EvaluationSettings, bootstrap: CaseBootstrap
) -> dict[str, Any]:
    tolerance = settings.slides.tolerance_um
    if tolerance is None:
        return {"reason": "it was not asked for"}
    found = [r.boundary.counts for r in results if r.boundary is not None]
    if len(found) < len(results):
        return {"reason": "nothing says how large a pixel is: give --mpp"}
    counts, first = np.stack(found), results[0].confusion
    keep = averaged_classes(first, settings.slides.metrics)
    scores = f_score_of(counts.sum(axis=0))
    weights = bootstrap.slide_weights
    shape = counts.shape[1:]
    draws = f_score_of((weights @ counts.reshape(len(counts), -1)).reshape(-1, *shape))
    return {
        "tolerance_um": tolerance,
        "cell_um": sorted({r.cell_um for r in results if r.cell_um is not None}),
        "by_class": {
            c.short: _numbered(scores[c.channel], draws[:, c.channel], bootstrap)
            for c in first.table
        },
        "mean": _numbered(
            mean_of_known(scores[keep], axis=0), mean_of_known(draws[:, keep], axis=1), bootstrap
        ),
    }


def _calibration(results: Sequence[SlideResult]) -> dict[str, Any]:
    with_some = [r for r in results if r.calibration is not None]
    if not with_some:
        return {"reason": results[0].no_calibration}
    sums = reduce(add, (r.calibration for r in with_some if r.calibration is not None))
    cells = np.maximum(sums.cells, 1)
    return {
        "slides": len(with_some),
        "cells": sums.total,
        "ece": sums.ece(),
        "brier": sums.mean_brier(),
        "nll": sums.mean_nll(),
        "clipped": sums.clipped,
        "bins": [
            {
                "from": index / BINS,
                "to": (index + 1) / BINS,
                "cells": int(n),
                "confidence": float(sums.confidence[index] / cells[index]) if n else None,
                "accuracy": float(sums.hits[index] / cells[index]) if n else None,
            }
            for index, n in enumerate(sums.cells.tolist())
        ],
    }


def _numbered(value: Any, draws: Any, bootstrap: CaseBootstrap) -> dict[str, Any]:
    interval = bootstrap.interval(draws)
    return {
        "value": _plain(value),
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
    }


def _intervals(bootstrap: CaseBootstrap, pairs: Pairs) -> dict[str, Any]:
    return {
        "method": "percentile bootstrap over cases",
        **asdict(bootstrap.settings),
        "cases": len(bootstrap.names) if pairs.cases_known else None,
        "reason": bootstrap.reason,
    }


def _flattery(metrics: MetricSettings) -> list[str]:
    """Return notes on what makes scores look better than they are."""
    found = []
    if metrics.mask == "annotation":
        found.append("outside the annotation both maps are background: errors there are hidden")
    if metrics.absent == "one":
        found.append("a class that a slide has in neither map scores 1, which raises every mean")
    if metrics.include_bg:
        found.append("background, which is easy, is in the means")
    return found


def _notes(results: Sequence[SlideResult], bootstrap: CaseBootstrap) -> list[str]:
    several = len(results) > 1
    notes = [f"{r.slide}: {n}" if several else n for r in results for n in r.notes]
    table = results[0].confusion.table
    pooled = stacked([r.confusion for r in results]).sum(axis=0)
    never = [c.short for c in table if not pooled[c.channel].any()]
    phantom = [short for short in never if pooled[:, table[short].channel].any()]
    if never:
        despite = f" ({', '.join(phantom)} predicted all the same)" if phantom else ""
        notes.append(
            f"the truth has no {', '.join(never)}{despite}: nothing is known of finding it"
        )
    sizes = {round(r.cell_um, 6) for r in results if r.cell_um is not None}
    if len(sizes) > 1:
        notes.append("cells of different sizes are pooled: scores count cells, areas mm²")
    if not sizes:
        notes.append(
            "nothing says how large a pixel is (--mpp): no mm², no boundary score, and no "
            "tumor bed is too small for a rate"
        )
    if bootstrap.reason:
        notes.append(bootstrap.reason)
    elif len(bootstrap.names) < FEW_CASES:
        notes.append(
            f"intervals come from {len(bootstrap.names)} cases: below {FEW_CASES} they are too "
            "narrow"
        )
    return notes


def _settings_json(settings: EvaluationSettings) -> dict[str, Any]:
    slides = settings.slides
    return {
        "preset": settings.preset,
        **asdict(slides.metrics),
        "pred": asdict(slides.pred),
        "truth": asdict(slides.truth),
        "boundary_tolerance_um": slides.tolerance_um,
        "calibration": slides.calibration,
        **{f"bootstrap_{k}": v for k, v in asdict(settings.bootstrap).items()},
        "definitions": [d.name for d in (*DEFINITIONS.values(), *settings.definitions)],
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        found[name] = importlib.metadata.version(name)
    return found


def _plain(value: Any) -> float | None:
    number = float(value)
    return None if np.isnan(number) else number
