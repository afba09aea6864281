"""Print every figure of docs/benchmarks.md; with ``--write`` put them there as well.

    python -m benchmarks [--write]

Figures are ratios within this run; the seconds of a busy machine mean little.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import inference, memory, reading, screen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.paired import Outcome

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write into {PAGE}")
    write = parser.parse_args().write
    lines = []
    for line in figures():
        print(line, flush=True)
        lines.append(line + "\n")
    if write:
        text = PAGE.read_text(encoding="utf-8")
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        PAGE.write_text(before + BEGIN + "".join(lines) + END + after, encoding="utf-8")


def figures() -> Iterator[str]:
    """Yield the lines of the page's tables."""
    yield f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    with tempfile.TemporaryDirectory(prefix="fddm-bench-") as name:
        folder = Path(name)
        yield from ("", "### Reading tiles of 256 px from a JPEG pyramid", "")
        yield from table(reading.measure(folder), "tiles/s", {reading.OURS: "≥ 0.60"})
        device, outcomes = inference.measure(folder)
        yield from ("", f"### Classifying tiles with fddm-small ({device})", "")
        runs = {outcome.name: "≥ 0.90" for outcome in outcomes[1:]}
        yield from table(outcomes, "tiles/s", runs)
        share = inference.refinement_share(folder)
        yield from ("", f"Refinement takes {share:.1%} of a default run (1 step, 1 sample).")
    peaks = memory.measure()
    yield from ("", "### Peak memory of a default run, the same tissue on two slides", "")
    yield from ("| slide, px | peak, GiB | against the smaller | bar |", "|---|---|---|---|")
    for side, peak in peaks.items():
        bar = "≤ 2.5 GiB and ≤ 1.15" if side == memory.LARGE else ""
        yield f"| {side} × {side} | {peak:.2f} | {peak / peaks[memory.SMALL]:.2f} | {bar} |"
    yield from ("", "### The window: opening, and a whole-slide run that starts and streams", "")
    yield from screen.table_of("benchmarks.window")
    yield from ("", "### The window: strokes of a 500-cell brush on 12 500 × 12 500 cells", "")
    yield from screen.table_of("benchmarks.editing_window")


def table(outcomes: list[Outcome], unit: str, bars: dict[str, str]) -> Iterator[str]:
    """Yield a Markdown table of a comparison; the first row is the reference."""
    yield f"| | {unit} | against the first | lowest–highest | bar |"
    yield "|---|---|---|---|---|"
    for o in outcomes:
        spread = f"{o.lowest:.2f}–{o.highest:.2f}"
        yield f"| {o.name} | {o.rate:.0f} | {o.ratio:.2f} | {spread} | {bars.get(o.name, '')} |"


if __name__ == "__main__":
    main()
