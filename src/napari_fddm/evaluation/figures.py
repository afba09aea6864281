"""Draw the evaluation report as one figure: confusion, scores by class, rates, reliability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import ConfigError, StoreError
from napari_fddm.evaluation.rates import PREDICTION, TRUTH, shown_level

if TYPE_CHECKING:
    from pathlib import Path

_SIZE_INCH = (12.5, 10.5)
_DPI = 130
_INK, _LINE, _MARK = "#222222", "#888888", "#0072B2"
_SHORT = 10
"""Names of slides or cases up to this length stand in the plot of rates; else numbers do."""
_ROOM = 4
"""Percent of space left and right of the plot of rates."""


def draw_report(report: dict[str, Any], path: Path) -> None:
    """Draw a report of `summary.summarize` into a file.

    Parameters
    ----------
    report : dict
        The report.
    path : Path
        PNG, PDF or SVG to write.

    Raises
    ------
    ConfigError
        If the ending is not known.
    StoreError
        If it cannot be written.
    """
    figure = Figure(figsize=_SIZE_INCH, layout="constrained")
    axes = figure.subplots(2, 2)
    _draw_confusion(axes[0, 0], report)
    _draw_classes(axes[0, 1], report)
    _draw_rates(axes[1, 0], report)
    _draw_reliability(axes[1, 1], report)
    count = report["cases"]
    cases = "" if count is None else f" of {count} case{'s' * (count != 1)}"
    slides = f"{report['slides']} slide{'s' * (report['slides'] != 1)}"
    figure.suptitle(
        f"Evaluation of {slides}{cases}, preset {report['settings']['preset']} · research use only",
        fontsize=13,
    )
    try:
        figure.savefig(path, dpi=_DPI)
    except ValueError as error:
        raise ConfigError(
            f"the figure {path} cannot be drawn: {error}.", hint="Name it .png, .pdf or .svg."
        ) from error
    except OSError as error:
        raise StoreError(
            f"the figure {path} cannot be written: {error.strerror}.", hint="Choose another place."
        ) from error


def _draw_confusion(axes: Any, report: dict[str, Any]) -> None:
    """Draw shares of each true class; rows without a cell stay empty."""
    counts = np.array(report["confusion"], np.float64)
    total = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)
    shorts = [c["short"] for c in report["classes"]]
    image = axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100)
    for (row, col), share in np.ndenumerate(shares):
        if np.isnan(share):
            continue
        text = "0" if share == 0 else "<1" if share < 0.005 else f"{100 * share:.0f}"
        axes.text(
            col, row, text, ha="center", va="center", fontsize=9,
            color="white" if share > 0.6 else _INK,
        )  # fmt: skip
    names = [s if total[i] > 0 else f"{s} (none)" for i, s in enumerate(shorts)]
    axes.set_xticks(range(len(shorts)), shorts)
    axes.set_yticks(range(len(shorts)), names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title("Confusion, % of the true class")
    axes.figure.colorbar(image, ax=axes, fraction=0.046, label="% of the true class")


def _draw_classes(axes: Any, report: dict[str, Any]) -> None:
    """Draw IoU by class, with intervals where there are some."""
    found = report["scores"]["by_class"]
    shorts = [c["short"] for c in report["classes"]]
    colors = {c.short: [v / 255 for v in c.display_rgb] for c in OSTEOSARCOMA}
    averaged = set(report["scores"]["mean_over"])
    for place, short in enumerate(shorts):
        score = found[short]["iou"]
        if score["value"] is None:
            axes.text(0.01, place, "in neither map", va="center", fontsize=9, color=_LINE)
            continue
        axes.barh(
            place, score["value"], color=colors.get(short, _MARK), edgecolor=_INK, linewidth=0.6
        )
        end = score["value"]
        if score["low"] is not None:
            axes.plot([score["low"], score["high"]], [place, place], color=_INK, linewidth=1.6)
            end = max(end, score["high"])
        axes.text(end + 0.015, place, f"{score['value']:.2f}", va="center", fontsize=9)
    axes.set_yticks(range(len(shorts)), [s if s in averaged else f"{s} *" for s in shorts])
    axes.set_ylim(len(shorts) - 0.5, -0.5)
    axes.set_xlim(0, 1.12)
    axes.set_xticks(np.linspace(0, 1, 6))
    mean = report["scores"]["mean"]["iou"]["value"]
    title = "IoU by class"
    if mean is not None:
        axes.axvline(mean, color=_LINE, linestyle="--", linewidth=1)
        title += f", mean {mean:.3f} (dashed)"
    intervals = report["intervals"]
    drawn = (
        "no intervals"
        if intervals["reason"]
        else (f"lines: {intervals['level']:.0%} intervals over {intervals['cases']} cases")
    )
    left_out = "; * not in the mean" if len(averaged) < len(shorts) else ""
    axes.set_xlabel(f"IoU ({drawn}{left_out})")
    axes.set_title(title)


def _draw_rates(axes: Any, report: dict[str, Any]) -> None:
    """Draw Bland and Altman's plot of the first definition, prediction against truth."""
    name, part = next(iter(report["rates"].items()))
    level, found = shown_level(part)
    rows = [row for row in found["rows"] if row["error"] is not None]
    axes.set_title(f"Necrosis rate ({name}) by {level}: prediction against truth")
    axes.set_xlabel("mean of truth and prediction, %")
    axes.set_ylabel("prediction − truth, percentage points")
    axes.set_xlim(-_ROOM, 100 + _ROOM)
    if not rows:
        axes.set_yticks([])
        _say(axes, f"no {level} has a rate by both")
        return
    means = [50 * (row["rates"][TRUTH] + row["rates"][PREDICTION]) for row in rows]
    errors = [100 * row["error"] for row in rows]
    axes.axhline(0, color=_LINE, linewidth=0.8)
    axes.scatter(means, errors, color=_MARK, zorder=3)
    reach = max(1.0, *(abs(e) for e in errors))
    compared = found["agreement"]["against_truth"][PREDICTION]["bland_altman"]
    if compared is not None:
        lines = {
            "bias": compared["bias"],
            "−1.96 sd": compared["limits"][0],
            "+1.96 sd": compared["limits"][1],
        }
        reach = max(reach, *(100 * abs(v) for v in lines.values()))
        for text, value in lines.items():
            style = "-" if text == "bias" else "--"
            label = f"{text}: {100 * value:+.1f}".replace("-", "−")
            axes.axhline(100 * value, color=_MARK, linestyle=style, linewidth=1.2, label=label)
        axes.legend(loc="upper right", fontsize=9, ncols=3)
    axes.set_ylim(-1.25 * reach, 1.6 * reach)
    names = [row["name"] for row in rows]
    if max(map(len, names)) > _SHORT:
        names = [str(found["rows"].index(row) + 1) for row in rows]
        axes.set_xlabel(f"mean of truth and prediction, % (numbers: {level}s in their order)")
    _name_points(axes, names, means, errors, reach)


def _name_points(
    axes: Any, names: list[str], means: list[float], errors: list[float], reach: float
) -> None:
    """Write names beside points; where one would cover another name or point, leave it away."""
    boxes = [(x - 1.2, x + 1.2, y) for x, y in zip(means, errors, strict=True)]
    for name, x, y in zip(names, means, errors, strict=True):
        width = 1.5 * len(name) + 1
        for start in (x + 1.5, x - 1.5 - width):
            inside = start > -_ROOM and start + width < 100 + _ROOM
            if inside and all(
                start > right or start + width < left or abs(y - other) > 0.1 * reach
                for left, right, other in boxes
            ):
                boxes.append((start, start + width, y))
                axes.text(
                    start + width / 2, y, name, fontsize=8, color=_INK, ha="center", va="center",
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
                )  # fmt: skip
                break


def _draw_reliability(axes: Any, report: dict[str, Any]) -> None:
    """Draw accuracy over confidence, and how many cells have it."""
    part = report["calibration"]
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("probability of the most probable class")
    axes.set_ylabel("share of cells where it is the true class")
    if "reason" in part:
        axes.set_title("Reliability")
        axes.set(xticks=[], yticks=[])
        _say(axes, f"none: {part['reason']}")
        return
    axes.set_title(
        f"Reliability: ECE {part['ece']:.3f}, Brier {part['brier']:.3f}, log loss {part['nll']:.3f}"
    )
    bins = [b for b in part["bins"] if b["cells"]]
    centers = [(b["from"] + b["to"]) / 2 for b in bins]
    width = bins[0]["to"] - bins[0]["from"]
    most = max(b["cells"] for b in bins)
    axes.bar(
        centers, [b["cells"] / most for b in bins], width, color="#dddddd", edgecolor="white",
        label=f"cells (highest: {most})", zorder=0,
    )  # fmt: skip
    axes.plot([0, 1], [0, 1], color=_LINE, linestyle="--", linewidth=1, label="calibrated")
    axes.plot(
        [b["confidence"] for b in bins], [b["accuracy"] for b in bins], "o-", color=_MARK,
        label="model",
    )  # fmt: skip
    axes.legend(loc="upper left", fontsize=9)


def _say(axes: Any, text: str) -> None:
    lines, line = [], ""
    for word in text.split():
        if len(line) + len(word) > 40:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    axes.text(
        0.5, 0.5, "\n".join([*lines, line]), transform=axes.transAxes, ha="center", va="center",
        color=_LINE,
    )  # fmt: skip
