"""Tables of the refinement benchmark, from its lines of JSON.

python -m benchmarks.science_table RESULTS.jsonl [--write]
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.science_page import print_tables, write_section
from benchmarks.science_scores import (
    bootstrap_difference,
    boundary_f,
    in_points,
    mean_iou,
    rate_error,
)
from napari_fddm.training.loop import RunLog

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    Cases = dict[str, list[dict[str, Any]]]

REFERENCE = "bilinear"
RAW = "none"
"""What rate errors are also given as multiples of."""
TITLES = {
    "synthetic": "Synthetic slides of unseen seeds",
    "stain shift": "The same slides in stains nobody was trained on",
    "composites": "Composites of real textures that nobody was trained on",
    "glas": "GlaS, networks trained on other patients",
    "wsss4luad": "WSSS4LUAD, networks trained on other images",
}
NAMES = {
    "none": "tile map, as it is",
    "bilinear": "tiles, bilinear",
    "majority": "tiles, 3 × 3 majority",
    "overlap": "tiles every 128 px, averaged",
    "tokens": "token map, as it is",
}
NETWORK = re.compile(r"(\w+) (\w+) S=(\d+) eta=(\S+) N=(\d+)")
ORDER = ("direct", "bridge_tokens", "bridge")


def write_page(results: Path, *, write: bool) -> list[str]:
    """Return the lines of the tables; put them into the page as well if asked to."""
    return write_section("refinement", tables(RunLog(results).records()), write=write)


def tables(lines: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield Markdown: a table per data set, in the order of `TITLES`."""
    for line in lines:
        if "training" in line:
            minutes = line["seconds"] / 60
            yield f"- `{line['training']}`: {line['steps']} steps, {minutes:.0f} min of training"
    scored: dict[str, dict[str, Cases]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for line in lines:
        if "dataset" in line:
            scored[line["dataset"]][line["method"]][line["case"]].append(line)
    for dataset, title in TITLES.items():
        if dataset in scored:
            yield from ("", f"### {title}", "")
            yield from table(scored[dataset])


def table(methods: dict[str, Cases]) -> Iterator[str]:
    """Yield the rows of one data set."""
    reference = methods[REFERENCE]
    count = sum(map(len, reference.values()))
    yield f"{count} slides or images of {len(reference)} cases."
    yield ""
    yield (
        "| method | mIoU, % | against bilinear [95 %] | boundary F, % | rate error, points "
        "| its change [95 %] | s per slide |"
    )
    yield "|---|---|---|---|---|---|---|"
    for name in sorted(methods, key=_place_of):
        yield row(name, methods[name], reference, methods.get(RAW, reference))
    for network, source in (("bridge_tokens", "cells"), ("bridge", "cells"), ("bridge", "tiles")):
        one, direct = (f"{name} {source} S=1 eta=1 N=1" for name in (network, "direct"))
        yield from _against(methods, one, direct)
        if network == "bridge_tokens":
            yield from _against(methods, one, "tokens")


def _against(methods: dict[str, Cases], one: str, other: str) -> Iterator[str]:
    """Yield a line that compares two methods, if both were measured."""
    if one not in methods or other not in methods:
        return
    pair = methods[one], methods[other]
    gain = in_points(bootstrap_difference(*pair, mean_iou))
    rate = bootstrap_difference(*pair, rate_error)
    error = "" if np.isnan(rate[0]) else f", rate error {in_points(rate)}"
    yield ""
    yield f"{title_of(one)} against {title_of(other)}: mIoU {gain}{error} points."


def row(name: str, cases: Cases, reference: Cases, raw: Cases) -> str:
    """Return a row; a method that was run on some slides is compared on these alone."""
    slides = {s["slide"] for part in cases.values() for s in part}
    paired = _only(reference, slides)
    flat = [s for part in cases.values() for s in part]
    error = rate_error(flat)
    gain = change = ""
    if name != REFERENCE:
        gain = in_points(bootstrap_difference(cases, paired, mean_iou))
        if not np.isnan(error):
            change = in_points(bootstrap_difference(cases, paired, rate_error))
    subset = "" if len(slides) == sum(map(len, reference.values())) else f" ({len(slides)} slides)"
    seconds = float(np.median([s["seconds"] for s in flat]))
    before = rate_error([s for part in _only(raw, slides).values() for s in part])
    rate = "–" if np.isnan(error) else f"{error:.2f} (× {error / max(before, 1e-9):.2f})"
    return (
        f"| {title_of(name)}{subset} | {mean_iou(flat):.1f} | {gain} | {boundary_f(flat):.1f} "
        f"| {rate} | {change} | {seconds:.2f} |"
    )


def _only(cases: Cases, slides: set[str]) -> Cases:
    """Return the scores of some slides alone."""
    kept = {case: [s for s in part if s["slide"] in slides] for case, part in cases.items()}
    return {case: part for case, part in kept.items() if part}


def _place_of(name: str) -> tuple[int, int, int, int, float]:
    """Return where a method stands: controls, then networks, by source, N, S and η."""
    found = NETWORK.fullmatch(name)
    if not found:
        return list(NAMES).index(name) - len(NAMES), 0, 0, 0, 0.0
    network, source, steps, eta, samples = found.groups()
    return ORDER.index(network), source == "tiles", int(samples), int(steps), float(eta)


def title_of(name: str) -> str:
    """Return a method's name for readers."""
    found = NETWORK.fullmatch(name)
    if not found:
        return NAMES.get(name, name)
    network, source, steps, eta, samples = found.groups()
    what = f"{network}, y = {'token map' if source == 'cells' else 'tile map'}"
    if network == "direct" or steps == "1":
        return what if network == "direct" else f"{what}, S = 1"
    return f"{what}, S = {steps}, η = {eta}, N = {samples}"


if __name__ == "__main__":
    print_tables(__doc__, write_page)
