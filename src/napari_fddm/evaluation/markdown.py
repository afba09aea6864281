"""Write the evaluation report as Markdown, for the terminal and for files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fddm.core.outside.text import markdown, visible_line
from napari_fddm.evaluation.rates import PREDICTION, TRUTH, shown_level

if TYPE_CHECKING:
    from collections.abc import Sequence

_NONE = "–"
_SCORES = ("iou", "dice", "precision", "recall")
_MOST_ROWS = 60
"""Longer lists are in the JSON report only."""


def to_markdown(report: dict[str, Any]) -> str:
    """Write a report of `summary.summarize` as Markdown."""
    blocks = [
        _head(report),
        _notes(report),
        _classes(report),
        _confusion(report),
        *(_rates(name, part, report) for name, part in report["rates"].items()),
        _calibration(report["calibration"]),
        _inputs(report),
    ]
    return markdown("\n\n".join(block for block in blocks if block) + "\n")


def _head(report: dict[str, Any]) -> str:
    s = report["settings"]
    cases = "" if report["cases"] is None else f" of {_plural(report['cases'], 'case')}"
    absent = "left out" if s["absent"] == "nan" else "counts as 1"
    background = "with" if s["include_bg"] else "without"
    settings = (
        f"Preset `{s['preset']}`: {s['aggregate'].replace('_', ' ')}, an absent class "
        f"{absent}, means {background} background, mask {s['mask']}."
    )
    intervals = report["intervals"]
    if not intervals["reason"]:
        settings += (
            f" In brackets {intervals['level']:.0%} intervals by drawing the "
            f"{intervals['cases']} cases again {intervals['resamples']} times "
            f"(seed {intervals['seed']})."
        )
    return (
        f"# Evaluation of {_plural(report['slides'], 'slide')}{cases}\n\n"
        f"Research use only. {settings}"
    )


def _notes(report: dict[str, Any]) -> str:
    return "\n".join(f"- {visible_line(note)}" for note in report["notes"])


def _classes(report: dict[str, Any]) -> str:
    scores, areas, boundary = report["scores"], report["areas"], report["boundary"]
    borders = boundary.get("by_class")
    head = ["class", "IoU", "Dice", "precision", "recall"]
    if borders:
        head.append(f"boundary F ({boundary['tolerance_um']:g} µm)")
    unit = "mm²" if areas else "cells"
    head += [f"true {unit}", f"predicted {unit}", f"error {unit}", "share error"]
    rows = []
    for tissue in report["classes"]:
        short = tissue["short"]
        found = scores["by_class"][short]
        row = [f"{short} {tissue['name']}", *(_score(found[k]) for k in _SCORES)]
        row += [_score(borders[short])] if borders else []
        row += _area_columns(found, areas[short] if areas else None)
        row.append(_points(report["share_errors"][short]["mean_absolute_error"]))
        rows.append(row)
    mean = ["mean", *(_score(scores["mean"][k]) for k in _SCORES)]
    mean += [_score(boundary["mean"])] if borders else []
    rows.append([*mean, "", "", "", ""])
    over = ", ".join(scores["mean_over"])
    why = "" if borders else f" No boundary F: {boundary['reason']}."
    return (
        "## Classes\n\n"
        + _table(head, rows)
        + f"\n\nMeans over {over}. Accuracy {scores['accuracy']:.4f}. Share error: mean over "
        f"slides of |predicted − true share| of the tissue, in percentage points.{why}"
    )


def _area_columns(found: dict[str, Any], area: dict[str, Any] | None) -> list[str]:
    if area is None:
        true, predicted = found["true_cells"], found["predicted_cells"]
        return [str(true), str(predicted), f"{predicted - true:+d}"]
    return [f"{area['true_mm2']:.3f}", f"{area['predicted_mm2']:.3f}", f"{area['error_mm2']:+.3f}"]


def _confusion(report: dict[str, Any]) -> str:
    shorts = [c["short"] for c in report["classes"]]
    rows = [
        [short, *map(str, row), str(sum(row))]
        for short, row in zip(shorts, report["confusion"], strict=True)
    ]
    return (
        "## Confusion matrix\n\nCells of the truth's grid; rows are the truth, columns the "
        "prediction.\n\n" + _table(["truth", *shorts, "all"], rows)
    )


def _rates(name: str, part: dict[str, Any], report: dict[str, Any]) -> str:
    by_case = part["by_case"]
    level, found = ("case", by_case) if by_case else ("slide", part["by_slide"])
    raters = [r for r in found["agreement"]["raters"] if r not in (TRUTH, PREDICTION)]
    head = [level, *(["slides"] if by_case else []), "truth", "prediction", "error", "Huvos"]
    head += [*(["mean of slides"] if by_case else []), *raters]
    rows = [_rate_row(row, bool(by_case), raters) for row in found["rows"][:_MOST_ROWS]]
    more = len(found["rows"]) - _MOST_ROWS
    lines = [
        f"## Necrosis rate `{name}`",
        f"{part['formula']}, by {level}; areas of slides are added up.",
        _table(head, rows),
    ]
    if more > 0:
        lines.append(f"… and {more} more, in the JSON report.")
    over, compared = shown_level(part)
    if over != level:
        lines.append("The slides of one case are not independent; over them:")
    lines.append(_errors(compared, over))
    lines.append(_agreement(compared, over))
    reasons = {
        f"{row['name']} by {who}: {why}"
        for row in found["rows"]
        for who, why in row["reasons"].items()
    }
    lines += ["\n".join(f"- no rate for {reason}" for reason in sorted(reasons))]
    return "\n\n".join(line for line in lines if line)


def _rate_row(row: dict[str, Any], by_case: bool, raters: Sequence[str]) -> list[str]:
    rates, grades, means = row["rates"], row["huvos"], row["mean_of_slides"]
    cells = [row["name"], *([str(row["slides"])] if by_case else [])]
    cells += [_percent(rates[TRUTH]), _percent(rates[PREDICTION]), _points(row["error"], sign=True)]
    cells.append(f"{grades[TRUTH] or _NONE} → {grades[PREDICTION] or _NONE}")
    if by_case:
        cells.append(f"{_percent(means[TRUTH])} → {_percent(means[PREDICTION])}")
    return cells + [_percent(rates.get(r)) for r in raters]


def _errors(found: dict[str, Any], level: str) -> str:
    if not found["n"]:
        return f"No {level} has a rate by both."
    interval = found.get("mean_absolute_error_interval")
    shown = f" ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})" if interval else ""
    grades = found["huvos"]
    kappa = _estimate(grades["weighted_kappa"])
    return (
        f"Mean absolute error {100 * found['mean_absolute_error']:.1f} points{shown}, mean error "
        f"{100 * found['mean_error']:+.1f}, over {_plural(found['n'], level)}. Same Huvos grade in "
        f"{grades['share_same']:.0%} of {grades['n']}; quadratic weighted kappa {kappa}."
    )


def _agreement(found: dict[str, Any], level: str) -> str:
    agreement = found["agreement"]
    lines = [
        f"Agreement of {', '.join(agreement['raters'])} over {_plural(agreement['n'], level)}: "
        f"ICC(2,1) {_estimate(agreement['icc_2_1'])}; ICC(3,1) {_estimate(agreement['icc_3_1'])}."
    ]
    for rater, part in agreement["against_truth"].items():
        found_ba = part["bland_altman"]
        if found_ba is not None:
            low, high = found_ba["limits"]
            lines.append(
                f"Bland–Altman, {rater} − truth: bias {100 * found_ba['bias']:+.1f} points, limits "
                f"{100 * low:+.1f} to {100 * high:+.1f} (n = {found_ba['n']})."
            )
        if rater != PREDICTION and part["huvos"]["n"]:
            kappa = _estimate(part["huvos"]["weighted_kappa"])
            lines.append(f"Huvos grades of {rater} and truth: weighted kappa {kappa}.")
    return " ".join(lines)


def _calibration(part: dict[str, Any]) -> str:
    if "reason" in part:
        return f"## Calibration\n\nNone: {part['reason']}."
    rows = [
        [
            f"{b['from']:.2f}–{b['to']:.2f}",
            str(b["cells"]),
            f"{b['confidence']:.3f}",
            f"{b['accuracy']:.3f}",
        ]
        for b in part["bins"]
        if b["cells"]
    ]
    clipped = (
        f" {part['clipped']} cells gave the true class probability 0." if part["clipped"] else ""
    )
    return (
        f"## Calibration\n\nECE {part['ece']:.4f}, Brier score {part['brier']:.4f} (0 to 2), log "
        f"loss {part['nll']:.4f} nats, on {part['cells']} cells.{clipped}\n\n"
        + _table(["confidence", "cells", "mean confidence", "accuracy"], rows)
    )


def _inputs(report: dict[str, Any]) -> str:
    rows = [
        [
            entry["slide"],
            entry["case"] or _NONE,
            entry["prediction"]["name"],
            entry["prediction"]["labels_sha256"][:12],
            entry["truth"]["name"],
            entry["truth"]["labels_sha256"][:12],
            str(entry["cells"]),
            f"{entry['covered_tissue']:.1%}",
        ]
        for entry in report["inputs"][:_MOST_ROWS]
    ]
    head = ["slide", "case", "prediction", "sha256", "truth", "sha256", "cells", "tissue covered"]
    versions = ", ".join(f"{k} {v}" for k, v in report["versions"].items())
    return f"## Inputs\n\n{_table(head, rows)}\n\nMade {report['created']} with {versions}."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table whose columns also line up as plain text."""
    cells = [[visible_line(cell).replace("|", "\\|") for cell in row] for row in (head, *rows)]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(head))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]])


def _score(found: dict[str, Any]) -> str:
    if found["value"] is None:
        return _NONE
    if found["low"] is None:
        return f"{found['value']:.4f}"
    return f"{found['value']:.4f} ({found['low']:.3f} to {found['high']:.3f})"


def _estimate(found: dict[str, Any]) -> str:
    if found["value"] is None:
        return f"none ({found['reason']})"
    if found["low"] is None:
        return f"{found['value']:.3f}" + (f" ({found['reason']})" if found["reason"] else "")
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def _percent(value: float | None) -> str:
    return _NONE if value is None else f"{value:.2%}"


def _points(value: float | None, *, sign: bool = False) -> str:
    return _NONE if value is None else f"{100 * value:{'+' if sign else ''}.2f}"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
