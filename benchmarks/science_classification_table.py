"""Tables of the classification benchmark, from its lines of JSON.

python -m benchmarks.science_classification_table RESULTS.jsonl [--write]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.science_page import print_tables, write_section
from benchmarks.science_scores import RESAMPLES, bootstrap_difference, in_points
from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.training.loop import RunLog
from napari_fddm.training.stage1.scores import balanced_accuracy, scores_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    Line = dict[str, Any]

COLOR = "color"
REFERENCE = "frozen"
NAMES = {
    COLOR: "color alone (six numbers)",
    "frozen": "frozen features",
    "lora": "LoRA",
    "tree": "frozen, hierarchical loss",
    "radiomics": "frozen, radiomics",
    "tree-radiomics": "frozen, hierarchical loss, radiomics",
}
TITLES = {
    "patient": "By patient: none of the judged patient's tiles was learned from",
    "slide": "By slide: other slides of the judged patient were learned from",
}


def write_page(results: Path, *, write: bool) -> list[str]:
    """Return the lines of the tables; put them into the page as well if asked to."""
    return write_section("classification", tables(RunLog(results).records()), write=write)


def tables(lines: Sequence[Line]) -> Iterator[str]:
    """Yield Markdown: a table for each way to leave out, its methods in the order of `NAMES`.

    Parameters
    ----------
    lines : sequence of dict
        One for each split, fold and method: the confusion of every slide that was judged,
        and seconds of training where there was one.
    """
    for split, title in TITLES.items():
        here = [line for line in lines if line["split"] == split]
        methods = {m: [line for line in here if line["method"] == m] for m in NAMES}
        folds = {line["fold"] for line in here}
        # Some folds of a method are no result: their slides are not those of the others.
        methods = {m: own for m, own in methods.items() if len(own) == len(folds) > 0}
        if REFERENCE in methods:
            yield from ("", f"### {title}", "")
            yield from table(methods)
            missing = "; ".join(name for m, name in NAMES.items() if m not in methods)
            if missing:
                yield from ("", f"Not measured to the end yet: {missing}.")


def table(methods: dict[str, list[Line]]) -> Iterator[str]:
    """Yield what was judged, and a row for each method."""
    reference = slides_of(methods[REFERENCE])
    classes = list(scores_of(pooled(reference), OSTEOSARCOMA.shorts)["recall"])
    patients = sorted({s["patient"] for s in reference})
    judged = int(pooled(reference).sum())
    folds = len(methods[REFERENCE])
    yield f"{judged} patches of {len(reference)} slides of {len(patients)} patients, {folds} folds."
    yield ""
    heads = [
        "method",
        "balanced accuracy, % [95 %]",
        "against frozen features [95 %]",
        *(f"recall {name}, %" for name in classes),
        *(f"accuracy {patient}, %" for patient in patients),
        "s of training per fold",
    ]
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for method, lines in methods.items():
        yield row(method, lines, reference, classes, patients)


def row(
    method: str,
    lines: Sequence[Line],
    reference: Sequence[Line],
    classes: Sequence[str],
    patients: Sequence[str],
) -> str:
    """Return a method's row; all of its folds are pooled."""
    slides = slides_of(lines)
    low, high = interval(slides)
    whole = scores_of(pooled(slides), OSTEOSARCOMA.shorts)
    of_patient = [[s for s in slides if s["patient"] == p] for p in patients]
    cells = [
        NAMES[method],
        f"{percent(slides):.1f} [{low:.1f}, {high:.1f}]",
        "" if method == REFERENCE else difference(slides, reference),
        *(f"{100 * whole['recall'][name]:.1f}" for name in classes),
        *(f"{100 * accuracy(pooled(own)):.1f}" for own in of_patient),
        "" if method == COLOR else f"{np.mean([line['seconds'] for line in lines]):.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def slides_of(lines: Sequence[Line]) -> list[Line]:
    """Return the slides of all folds, each of which was judged once."""
    return [slide for line in lines for slide in line["slides"]]


def pooled(slides: Sequence[Line]) -> npt.NDArray[np.int64]:
    """Add up the confusion of slides, int64 of shape (7, 7)."""
    return np.sum([np.asarray(s["confusion"], np.int64) for s in slides], axis=0)


def accuracy(matrix: npt.NDArray[np.int64]) -> float:
    """Return the share of patches that are right, whatever their class."""
    return float(np.trace(matrix) / matrix.sum())


def percent(slides: Sequence[Line]) -> float:
    """Return the balanced accuracy, %, of pooled slides."""
    return 100 * balanced_accuracy(pooled(slides))


def interval(slides: Sequence[Line], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap of the balanced accuracy, %, over slides."""
    rng = np.random.default_rng(seed)
    count = len(slides)
    draws = [percent([slides[i] for i in rng.integers(0, count, count)]) for _ in range(RESAMPLES)]
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def difference(slides: Sequence[Line], reference: Sequence[Line]) -> str:
    """Return the gain in balanced accuracy, points, with its interval over the same slides."""
    ours, theirs = ({s["slide"]: [s] for s in side} for side in (slides, reference))
    return in_points(bootstrap_difference(ours, theirs, percent))


if __name__ == "__main__":
    print_tables(__doc__, write_page)
