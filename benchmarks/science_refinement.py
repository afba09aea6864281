"""Does refining pay? Every method on every data set, one line of JSON per slide and method.

    python -m benchmarks.science_refinement --work DIR --data DIR [--write]

``make bench-science`` runs it. Each stage keeps what it made: stopped at any moment,
the same command goes on. On two idle CPU cores it takes about an hour, half of it for the
maps; the rest is training and measuring. ``--write`` puts the tables
into docs/science.md.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import science_data as data
from benchmarks.science_scores import score
from benchmarks.science_table import write_page
from napari_fddm.core.cards import CARD_NAME
from napari_fddm.core.config import AnalysisConfig
from napari_fddm.models import LoadedModel, load_model
from napari_fddm.training.default import REFINER, REFINER_NETWORK
from napari_fddm.training.loop import RunLog
from napari_fddm.training.regions.batches import SOURCES, measured_moments
from napari_fddm.training.stage2 import RefinerTraining, find_recipe, train_refiner_model
from napari_fddm.training.stage2.model_folder import TrainedRefiner, train_new_refiner
from napari_fddm.training.stage2.rivals import CONTROLS, find_method

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_fddm.pipeline.stage2.refiner import HasRefiner
    from napari_fddm.training.regions import RegionSlide
    from napari_fddm.training.regions.coarse import SourceName
    from napari_fddm.training.stage2.rivals import Method

STEPS = (1, 2, 5, 10, 20)
ETAS = (0.0, 1.0)
MANY = 8
RECIPES = ("direct", "bridge")
TOKENS_ONLY = "bridge_tokens"
"""A bridge that has seen token maps alone, as a run gives it: the bundled one."""
IMAGE_CELLS = 32
"""Edge of the regions that the image sets' networks are trained on: their images are small."""
RESULTS = "results.jsonl"


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to refine: a network and how it is sampled."""

    network: str
    source: SourceName
    steps: int
    eta: float
    samples: int

    @property
    def name(self) -> str:
        """Key in the results."""
        return f"{self.network} {self.source} S={self.steps} eta={self.eta:g} N={self.samples}"

    def method(self, model: HasRefiner) -> Method:
        """Return it as a method."""
        config = AnalysisConfig(steps=self.steps, eta=self.eta, samples=self.samples)
        return find_method("bridge", model, config, self.source)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="maps, networks and results")
    parser.add_argument("--data", type=Path, help="folder with osteosarcoma/ and seg/")
    parser.add_argument(
        "--steps", type=int, default=REFINER.steps, help="of each network's training"
    )
    parser.add_argument("--image-steps", type=int, default=100, help="of an image set's networks")
    parser.add_argument("--many", type=int, nargs="*", default=STEPS[1:], help="S with N = 8 too")
    parser.add_argument("--write", action="store_true", help="write docs/science.md")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options.work.mkdir(parents=True, exist_ok=True)
    print(__doc__.split("``make")[1].split("``--write")[0].strip(" `\n"), flush=True)
    model = load_model(data.MODEL)
    networks = train_networks(options, model)
    measure_osteosarcoma(options, model, networks)
    if options.data is not None:
        for images in (data.GLAS, data.WSSS):
            measure_images(options, images, model)
    print("\n".join(write_page(options.work / RESULTS, write=options.write)))


def train_networks(options: argparse.Namespace, model: LoadedModel) -> dict[str, HasRefiner]:
    """Train the rivals on the same regions, from the same weights, for as many steps."""
    regions = [data.synthetic_training(options.work, model)]
    if options.data is not None:
        regions.append(data.composites(options.work, options.data, model, tests=False)[0])
    networks: dict[str, HasRefiner] = {}
    for name, settings in rivals(options.steps).items():
        folder = options.work / "networks" / name
        if not (folder / CARD_NAME).exists():
            train_refiner_model(regions, data.MODEL, folder, settings, network=REFINER_NETWORK)
        networks[name] = load_model(str(folder))
        seconds = RunLog(folder / "training.jsonl").records()[-1]["seconds"]
        record(options.work, {"training": name, "steps": options.steps, "seconds": seconds})
    return networks


def rivals(steps: int) -> dict[str, RefinerTraining]:
    """Return how each network is trained."""
    both = RefinerTraining(steps=steps, sources=SOURCES)
    return {name: replace(both, recipe=find_recipe(name)) for name in RECIPES} | {
        TOKENS_ONLY: replace(REFINER, steps=steps)
    }


def measure_osteosarcoma(
    options: argparse.Namespace, model: LoadedModel, networks: dict[str, HasRefiner]
) -> None:
    """Measure everything on the seven-class sets."""
    sets = {
        "synthetic": data.synthetic_tests(options.work, model),
        "stain shift": data.shifted_stain_tests(options.work, model),
    }
    if options.data is not None:
        sets["composites"] = data.load(data.composites(options.work, options.data, model)[1])
    for name, slides in sets.items():
        for control in CONTROLS:
            measure(options.work, name, control, CONTROLS[control], slides)
        for setting in settings_of(tuple(networks), options.many):
            method = setting.method(networks[setting.network])
            measure(options.work, name, setting.name, method, slides)


def settings_of(networks: Sequence[str], many: Sequence[int]) -> Iterator[Setting]:
    """Yield what is measured: the whole grid for the bridge, one step for its rivals."""
    for network, source in product(networks, SOURCES):
        if network != TOKENS_ONLY:
            yield Setting(network, source, 1, 1.0, 1)
    for steps in (1, 5):
        yield Setting(TOKENS_ONLY, "cells", steps, 1.0, 1)
    for source, steps, eta in product(SOURCES, STEPS[1:], ETAS):
        yield Setting("bridge", source, steps, eta, 1)
    for source, steps in product(SOURCES, many):  # the mean of N draws, where there is noise
        yield Setting("bridge", source, steps, 1.0, MANY)


def measure_images(options: argparse.Namespace, images: data.ImageSet, model: LoadedModel) -> None:
    """Train on one half of an image set, measure on the other, and the other way round."""
    folds = data.image_folds(options.work, options.data, images, model)
    for fold, train_folder in ((0, folds[1]), (1, folds[0])):
        slides, train = data.load(folds[fold]), data.load(train_folder)
        for control in CONTROLS:
            if control != "overlap":
                measure(options.work, images.name, control, CONTROLS[control], slides)
        for name, settings in rivals(options.image_steps).items():
            small = replace(settings, cells=IMAGE_CELLS)
            trained = train_on_images(
                options.work, f"{images.name}-{fold}-{name}", train, small, model
            )
            for setting in image_settings_of(name):
                measure(options.work, images.name, setting.name, setting.method(trained), slides)


def train_on_images(
    work: Path,
    name: str,
    slides: Sequence[RegionSlide],
    settings: RefinerTraining,
    model: LoadedModel,
) -> TrainedRefiner:
    """Train a network on regions of images."""
    classes = slides[0].coarse.classes
    moments = measured_moments(slides, settings.sources)
    card = settings.recipe.card(classes, moments, REFINER_NETWORK)
    folder = work / "networks" / name
    folder.mkdir(parents=True, exist_ok=True)
    denoiser, _ = train_new_refiner(card, slides, settings, model.compute, folder)
    return TrainedRefiner(card, denoiser, model.compute)


def image_settings_of(network: str) -> Iterator[Setting]:
    """Yield what is measured of a network of an image set."""
    sources = ("cells",) if network == TOKENS_ONLY else SOURCES
    for source, steps in product(sources, (1,) if network == "direct" else (1, 5)):
        yield Setting(network, source, steps, 1.0, 1)


def measure(
    work: Path, dataset: str, name: str, method: Method, slides: Sequence[RegionSlide]
) -> None:
    """Score a method on the slides that the results do not have yet."""
    done = {(r.get("dataset"), r.get("method"), r.get("slide")) for r in results(work)}
    for slide in slides:
        if (dataset, name, slide.meta.slide) in done:
            continue
        if name == "overlap" and slide.coarse.shifted is None:
            continue
        started = time.perf_counter()
        probs = method(slide.coarse)
        seconds = time.perf_counter() - started
        line = {"dataset": dataset, "method": name, "slide": slide.meta.slide}
        record(work, line | {"case": _case(slide), "seconds": seconds} | score(probs, slide))
    logging.info("%s: %s", dataset, name)


def _case(slide: RegionSlide) -> str:
    """Return the unit that is resampled: a patient, or an image where there is none."""
    composite = slide.meta.case.startswith("textures-")
    return slide.meta.slide if composite else slide.meta.case


def results(work: Path) -> list[dict[str, Any]]:
    """Return all lines so far."""
    return RunLog(work / RESULTS).records()


def record(work: Path, line: dict[str, Any]) -> None:
    """Append a line."""
    if "training" in line and any(r.get("training") == line["training"] for r in results(work)):
        return
    with (work / RESULTS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
