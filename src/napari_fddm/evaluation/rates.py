"""Compare necrosis rates of truth, prediction and further readers: errors, grades, agreement."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.necrosis import (
    ClassAreas,
    NecrosisDefinition,
    RateResult,
    compute_rate,
    mean_rate,
    pool_areas,
)
from napari_fddm.evaluation.agreement import (
    GRADES,
    bland_altman,
    grade_table,
    icc_agreement,
    icc_consistency,
    weighted_kappa,
)
from napari_fddm.evaluation.intervals import CaseBootstrap, known_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fddm.evaluation.slides import SlideResult

TRUTH, PREDICTION = "truth", "prediction"
_FINE_MM2 = 1e-6
"""1 µm²: what areas of differently sized cells are counted in."""


@dataclass(frozen=True, slots=True, eq=False)
class Rated:
    """A slide or a case with the areas that each rater found.

    Attributes
    ----------
    name, case : str
        Its name, and the case it belongs to.
    slides : tuple of dict of str to ClassAreas
        Areas by rater, for each of its slides.
    """

    name: str
    case: str
    slides: tuple[dict[str, ClassAreas], ...]

    def pooled(self, rater: str) -> ClassAreas | None:
        """Return a rater's areas over all slides, None where a slide lacks the rater."""
        if any(rater not in slide for slide in self.slides):
            return None
        return pool_mm2([slide[rater] for slide in self.slides])

    def rates(self, definition: NecrosisDefinition, raters: Sequence[str]) -> dict[str, RateResult]:
        """Return the rate by each rater that rated it."""
        areas = {rater: self.pooled(rater) for rater in raters}
        return {r: compute_rate(a, definition) for r, a in areas.items() if a is not None}

    def mean_of_slides(self, definition: NecrosisDefinition, rater: str) -> float | None:
        """Return the mean of the slides' rates, as the paper has it."""
        return mean_rate([slide[rater] for slide in self.slides if rater in slide], definition)


def pool_mm2(areas: Sequence[ClassAreas]) -> ClassAreas:
    """Add areas of slides, of cells of any size: each mm² counts alike."""
    if len({a.cell_mm2 for a in areas}) == 1:
        return pool_areas(areas)
    columns = zip(*(a.counts for a in areas), strict=True)
    factors = [a.cell_mm2 / _FINE_MM2 for a in areas]
    counts = tuple(
        round(sum(n * f for n, f in zip(column, factors, strict=True))) for column in columns
    )
    return ClassAreas(counts, _FINE_MM2, areas[0].table)


def rated_slides(slides: Sequence[SlideResult]) -> list[Rated]:
    """Return each slide with its areas by rater.

    Raises
    ------
    ConfigError
        If the cell size of some slides is known and that of others is not.
    """
    unknown = [s.slide for s in slides if s.cell_um is None]
    if unknown and len(unknown) < len(slides):
        raise ConfigError(
            f"nothing says how large a pixel of {', '.join(unknown[:3])} is, while others do.",
            hint="Give --mpp, or a column mpp in the manifest.",
        )
    return [
        Rated(
            s.slide,
            s.case,
            (
                {
                    TRUTH: s.confusion.true_areas(s.cell_mm2),
                    PREDICTION: s.confusion.predicted_areas(s.cell_mm2),
                    **s.readers,
                },
            ),
        )
        for s in slides
    ]


def rated_cases(slides: Sequence[Rated]) -> list[Rated]:
    """Put the slides of each case together, in the order of their first slide."""
    names = dict.fromkeys(s.case for s in slides)
    return [
        Rated(name, name, tuple(s.slides[0] for s in slides if s.case == name)) for name in names
    ]


def shown_level(part: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return what agreement is shown over, "case" or "slide", and its numbers.

    Cases where they are known; the slides of one case, which are not independent,
    rather than that single case.
    """
    by_case, by_slide = part["by_case"], part["by_slide"]
    if by_case is None or len(by_case["rows"]) < 2 <= len(by_slide["rows"]):
        return "slide", by_slide
    return "case", by_case


def rates_json(
    rated: Sequence[Rated],
    definition: NecrosisDefinition,
    raters: Sequence[str],
    bootstrap: CaseBootstrap | None,
) -> dict[str, Any]:
    """Return rates, their errors and the agreement of raters, over slides or cases.

    Parameters
    ----------
    rated : sequence of Rated
        Slides, or cases.
    definition : NecrosisDefinition
        Of the rate.
    raters : sequence of str
        Truth, prediction and further readers.
    bootstrap : CaseBootstrap or None
        For intervals of mean errors, where the rated are cases.
    """
    rows = [_row(r, definition, raters) for r in rated]
    errors = [row["error"] for row in rows]
    known = [e for e in errors if e is not None]
    absolute = [None if e is None else abs(e) for e in errors]
    result: dict[str, Any] = {
        "rows": rows,
        "n": len(known),
        "without_rate": len(rows) - len(known),
        "mean_absolute_error": known_mean(absolute),
        "mean_error": known_mean(errors),
        "root_mean_square_error": math.sqrt(sum(e * e for e in known) / len(known))
        if known
        else None,
        "huvos": _grades(rows, PREDICTION),
        "agreement": _agreement(rows, raters),
    }
    if bootstrap is not None:
        for key, values in (("mean_absolute_error", absolute), ("mean_error", errors)):
            interval = bootstrap.interval_of_mean(values)
            result[f"{key}_interval"] = None if interval is None else [interval.low, interval.high]
    return result


def _row(rated: Rated, definition: NecrosisDefinition, raters: Sequence[str]) -> dict[str, Any]:
    found = rated.rates(definition, raters)
    truth, predicted = found[TRUTH].rate, found[PREDICTION].rate
    return {
        "name": rated.name,
        "case": rated.case,
        "slides": len(rated.slides),
        "rates": {r: v.rate for r, v in found.items()},
        "reasons": {r: v.reason for r, v in found.items() if v.reason},
        "huvos": {r: v.huvos for r, v in found.items()},
        "mean_of_slides": {r: rated.mean_of_slides(definition, r) for r in found},
        "error": None if truth is None or predicted is None else predicted - truth,
    }


def _grades(rows: Sequence[dict[str, Any]], rater: str) -> dict[str, Any]:
    pairs = [(row["huvos"][TRUTH], row["huvos"].get(rater)) for row in rows]
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    table = grade_table([a for a, _ in known], [b for _, b in known])
    n = len(known)
    return {
        "grades": list(GRADES),
        "table": table.tolist(),
        "n": n,
        "share_same": float(np.trace(table)) / n if n else None,
        "weighted_kappa": asdict(weighted_kappa(table)),
    }


def _agreement(rows: Sequence[dict[str, Any]], raters: Sequence[str]) -> dict[str, Any]:
    complete = [row for row in rows if all(row["rates"].get(r) is not None for r in raters)]
    ratings = np.array([[row["rates"][r] for r in raters] for row in complete], np.float64)
    ratings = ratings.reshape(len(complete), len(raters))
    return {
        "raters": list(raters),
        "n": len(complete),
        "left_out": len(rows) - len(complete),
        "icc_2_1": asdict(icc_agreement(ratings)),
        "icc_3_1": asdict(icc_consistency(ratings)),
        "against_truth": {r: _against_truth(rows, r) for r in raters if r != TRUTH},
    }


def _against_truth(rows: Sequence[dict[str, Any]], rater: str) -> dict[str, Any]:
    pairs = np.array(
        [
            (row["rates"][TRUTH], row["rates"][rater])
            for row in rows
            if row["rates"][TRUTH] is not None and row["rates"].get(rater) is not None
        ],
        np.float64,
    ).reshape(-1, 2)
    found = bland_altman(pairs[:, 0], pairs[:, 1])
    return {
        "n": len(pairs),
        "bland_altman": None if found is None else asdict(found),
        "huvos": _grades(rows, rater),
    }
