"""Do corrections spread? Strokes on errors, and what becomes of the cells nobody painted.

    python -m benchmarks.science_spreading --work DIR --data DIR [--write]

Part of ``make bench-science``; some minutes, most of them for stage-1 maps of slides that
nothing was chosen on. Stopped at any moment, the same command goes on.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from benchmarks import science_data as data
from benchmarks.science_page import write_section
from benchmarks.science_scores import bootstrap_difference, in_points
from napari_fddm.core.config import AnalysisConfig
from napari_fddm.core.geometry import Window
from napari_fddm.core.spreading import spread_strokes
from napari_fddm.core.tiling import CELLS_PER_REGION
from napari_fddm.models import LoadedModel, load_model
from napari_fddm.pipeline.stage2 import Refiner
from napari_fddm.training.data.stains import SHIFTED
from napari_fddm.training.loop import RunLog
from napari_fddm.training.regions.synthetic import synthetic_regions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from napari_fddm.training.regions import RegionSlide

    Labels = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]
    Probs = npt.NDArray[np.float32]

SEEDS = range(60_000, 60_010)
"""Neither trained on nor looked at when the three constants of `core.spreading` were chosen."""
RESULTS = "spreading.jsonl"
PAINTED_SHARE = 0.02
DAB = 3
"""Edge of a stroke, cells: about 0.1 mm."""
LEAST_AREA = 200
"""Cells of an area that a stage 1 takes for another class as a whole."""
METHODS = {
    "nothing": "strokes alone",
    "clamp": "refined, strokes clamped",
    "spread": "spread",
    "spread, refined": "spread, then refined, strokes clamped",
}
SETS = {
    "synthetic": "Synthetic slides, one area taken for another class",
    "stain shift": "The same in stains nobody was trained on",
    "composites": "Composites, errors as they are",
}


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A region with an error and strokes on it.

    Attributes
    ----------
    source : array of float32, shape (classes, h, w)
        y, as stage 1 says it or would.
    area : array of bool, shape (h, w)
        Where the error is.
    strokes : array of uint8, shape (h, w)
        Class values.
    """

    source: Probs
    area: Mask
    strokes: Labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="maps and results")
    parser.add_argument("--data", type=Path, help="folder with osteosarcoma/")
    parser.add_argument("--write", action="store_true", help="write docs/science.md")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options.work.mkdir(parents=True, exist_ok=True)
    measure(options.work, options.data)
    lines = RunLog(options.work / RESULTS).records()
    print("\n".join(write_section("spreading", tables(lines), write=options.write)))


def measure(work: Path, data_folder: Path | None) -> None:
    """Score every method on every slide that the results do not have yet."""
    model = load_model(data.MODEL)
    refiner = Refiner(model, AnalysisConfig())
    log = RunLog(work / RESULTS)
    done = {(line["dataset"], line["slide"]) for line in log.records()}
    for dataset, slides in _sets(work, data_folder, model).items():
        for number, slide in enumerate(slides):
            if (dataset, slide.meta.slide) in done:
                continue
            rng = np.random.default_rng([number, 3])
            one_area = dataset != "composites"
            tasks = swapped_areas(slide, rng) if one_area else real_errors(slide, rng)
            for task in tasks:
                for method in METHODS:
                    scored = score(task, corrected(method, task, slide, refiner), slide)
                    about = {"dataset": dataset, "slide": slide.meta.slide, "method": method}
                    log.append(**about, **scored)
        logging.info("%s", dataset)


def _sets(
    work: Path, data_folder: Path | None, model: LoadedModel
) -> dict[str, Sequence[RegionSlide]]:
    cut = {"stage1": data.MODEL, "tiles": 8}
    sets: dict[str, Sequence[RegionSlide]] = {
        "synthetic": list(synthetic_regions(work / "spread-synthetic", SEEDS, model, **cut)),
        "stain shift": list(
            synthetic_regions(work / "spread-shift", SEEDS, model, stains=SHIFTED, **cut)
        ),
    }
    if data_folder is not None:
        sets["composites"] = data.load(data.composites(work, data_folder, model)[1])
    return sets


def swapped_areas(slide: RegionSlide, rng: np.random.Generator) -> Iterator[Task]:
    """Yield the largest area of each class, with its probabilities given to another class."""
    source = slide.coarse.cells.astype(np.float32)
    classes = range(2, slide.coarse.classes + 1)
    for value in classes:
        parts, count = ndimage.label(slide.truth == value)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        sizes[0] = 0
        if sizes.max() < LEAST_AREA:
            continue
        area = parts == sizes.argmax()
        other = int(rng.choice([n for n in classes if n != value]))
        wrong = source.copy()
        pair, swapped = [value - 1, other - 1], [other - 1, value - 1]
        wrong[pair] = np.where(area, source[swapped], source[pair])
        painted = dabs(area, rng) & area
        yield Task(wrong, area, np.where(painted, value, 0).astype(np.uint8))


def real_errors(slide: RegionSlide, rng: np.random.Generator) -> Iterator[Task]:
    """Yield the region with strokes where stage 1 errs; they paint the truth."""
    source = slide.coarse.cells.astype(np.float32)
    known = slide.truth > 0
    errors = known & (source.argmax(axis=0) + 1 != slide.truth)
    painted = dabs(errors, rng, within=int(np.count_nonzero(known))) & known
    yield Task(source, known, np.where(painted, slide.truth, 0).astype(np.uint8))


def dabs(places: Mask, rng: np.random.Generator, within: int = 0) -> Mask:
    """Return square dabs at random places, that together are `PAINTED_SHARE` of an area."""
    cells = np.argwhere(places)
    wanted = PAINTED_SHARE * (within or len(cells)) / DAB**2
    count = min(len(cells), max(1, round(wanted)))
    centers = np.zeros(places.shape, bool)
    centers[tuple(cells[rng.choice(len(cells), count, replace=False)].T)] = True
    return np.asarray(ndimage.binary_dilation(centers, np.ones((DAB, DAB))))


def corrected(method: str, task: Task, slide: RegionSlide, refiner: Refiner) -> Labels:
    """Return the labels that a method gives the cells."""
    features = slide.coarse.features.astype(np.float32)
    source = task.source
    if method.startswith("spread"):
        everywhere = np.ones(task.area.shape, bool)
        source = spread_strokes(source, features, task.strokes, everywhere)
    if method in ("nothing", "spread"):
        return (source.argmax(axis=0) + 1).astype(np.uint8)
    window = Window(0, 0, CELLS_PER_REGION, CELLS_PER_REGION)
    probs = refiner.refine(source[None], features[None], [window], task.strokes[None])[0]
    return (probs.argmax(axis=0) + 1).astype(np.uint8)


def score(task: Task, labels: Labels, slide: RegionSlide) -> dict[str, Any]:
    """Count the cells that nobody painted and those that are right, in the area and outside."""
    free = (task.strokes == 0) & (slide.truth > 0)
    right = labels == slide.truth
    parts = {"area": free & task.area, "outside": free & ~task.area}
    counts = {name: [int((part & right).sum()), int(part.sum())] for name, part in parts.items()}
    return counts | {"painted": [int((task.strokes > 0).sum()), int(task.area.sum())]}


def tables(lines: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield Markdown: a table per data set."""
    for dataset, title in SETS.items():
        here = [line for line in lines if line["dataset"] == dataset]
        if here:
            yield from ("", f"### {title}", "")
            yield from table(here)


def table(lines: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the rows of one data set."""
    methods = {name: _by_slide(lines, name) for name in METHODS}
    count, painted = len(lines) // len(METHODS), share(lines, "painted")
    outside = any(line["outside"][1] for line in lines)
    areas = "1 area" if count == 1 else f"{count} areas"
    yield f"{areas} of {len(methods['nothing'])} slides; {painted:.1f} % of their cells painted."
    yield ""
    yield "| method | right in the area, % | change [95 %] |" + (
        " right outside, % | change [95 %] |" if outside else ""
    )
    yield "|---|---|---|" + ("---|---|" if outside else "")
    for name, title in METHODS.items():
        cells = [title]
        for part in ("area", "outside")[: 1 + outside]:
            cells.append(f"{share(_flat(methods[name]), part):.1f}")
            cells.append(_change(methods, name, part))
        yield f"| {' | '.join(cells)} |"


def _change(methods: dict[str, dict[str, list[dict[str, Any]]]], name: str, part: str) -> str:
    if name == "nothing":
        return ""
    gain = bootstrap_difference(
        methods[name], methods["nothing"], lambda scored: share(scored, part)
    )
    return in_points(gain)


def _by_slide(lines: Sequence[dict[str, Any]], method: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        if line["method"] == method:
            found.setdefault(line["slide"], []).append(line)
    return found


def _flat(by_slide: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [line for part in by_slide.values() for line in part]


def share(lines: Sequence[dict[str, Any]], part: str) -> float:
    """Return the pooled share of a count, %."""
    right, of = np.sum([line[part] for line in lines], axis=0)
    return 100.0 * float(right) / max(1, int(of))


if __name__ == "__main__":
    main()
