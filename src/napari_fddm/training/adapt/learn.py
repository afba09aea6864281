"""Learning from a pathologist's corrections: makes an adapted model from the strokes in a store."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.tiling import TileGrid
from napari_fddm.models.bundle import ADAPTER_FILE, HEADS_FILE
from napari_fddm.pipeline.store import AnalysisStore, read_strokes
from napari_fddm.slides.mpp import require_mpp
from napari_fddm.training.adapt.guidance import StrokeCounts
from napari_fddm.training.adapt.head_learning import learn_events
from napari_fddm.training.adapt.heads import model_heads
from napari_fddm.training.adapt.models import check_name, save_adapter
from napari_fddm.training.adapt.samples import painted_samples
from napari_fddm.training.adapt.tile_cache import TileCache, cache_folder, cache_key
from napari_fddm.training.adapt.tile_features import feature_events
from napari_fddm.training.adapt.unpainted import choose_reference

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_fddm.core.protocols import Slide
    from napari_fddm.models import LoadedModel
    from napari_fddm.training.adapt.events import AdaptEvent, Verdict
    from napari_fddm.training.adapt.samples import PaintedSamples

SYNTHETIC = "synthetic"
"""Backend of synthetic slides: what was learned from them was not learned from real tissue."""


@dataclass(frozen=True, slots=True)
class AdaptResult:
    """Result of learning from corrections.

    Attributes
    ----------
    strokes : StrokeCounts
        How much was painted.
    verdict : Verdict
        Accuracy of the old and of the new model on held-out sites.
    folder : Path or None
        The adapted model; None where it was not better than the old one.
    """

    strokes: StrokeCounts
    verdict: Verdict
    folder: Path | None

    @property
    def in_words(self) -> str:
        """The verdict, whether the new model is used, and what to paint next, for users."""
        used = "used" if self.folder is not None else "not used: the model stays as it is"
        lines = [f"{self.verdict.sites} held-out sites: {self.verdict.in_words}; {used}."]
        if self.folder is not None:
            lines.append(
                f"{100 * self.verdict.changed:.0f} % of the unpainted tiles get another class."
            )
        if self.strokes.advice:
            lines.append(self.strokes.advice)
        return " ".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "in_words": self.in_words,
            "accepted": self.folder is not None,
            "verdict": self.verdict.to_json(),
            "strokes": self.strokes.to_json(),
            "folder": str(self.folder) if self.folder else None,
        }


def adapt_events(
    slide: Slide,
    *,
    store: str | Path,
    model: LoadedModel,
    model_name: str,
    name: str,
    lora: bool = False,
    batch_size: int = 8,
) -> Generator[AdaptEvent, None, AdaptResult]:
    """Learn from the strokes in a store, and keep the new model only if it is better.

    Nothing in the store changes. Closing the generator stops the learning; the features
    that were computed until then are in the cache.

    Parameters
    ----------
    slide : Slide
        The slide of the store.
    store : str or Path
        An analysis with strokes.
    model : LoadedModel
        The model that is retrained in a copy, from its present weights.
    model_name : str
        What finds that model again: id, name, folder or hub source.
    name : str
        Name of the adapted model.
    lora : bool
        Also fine-tune LoRA adapters of the backbone on the painted tiles, which takes minutes
        instead of seconds.
    batch_size : int
        Tiles per call of the backbone.

    Yields
    ------
    AdaptEvent
        Start, progress and end of each stage.

    Raises
    ------
    NotEnoughStrokesError
        If too few places were painted.
    TrainingError
        If the name is impossible or taken.
    ConfigError
        If slide, store and model do not belong together.
    """
    path = Path(store)
    check_name(name)
    with AnalysisStore.open(path) as opened:
        grid = _grid(slide, model, opened)
        samples = painted_samples(read_strokes(opened), opened.geometries.cell)
        analyzed = opened.maps.probability_map("patch").coverage
    strokes = StrokeCounts.of(samples, OSTEOSARCOMA)
    strokes.require_enough()
    if lora:
        from napari_fddm.training.adapt.backbone_learning import learn_lora_events

        learned = yield from learn_lora_events(
            slide, grid, samples, choose_reference(analyzed, samples.touched_tiles()), model
        )
        files = {HEADS_FILE: learned.heads, ADAPTER_FILE: learned.adapter}
        verdict = learned.verdict
    else:
        files, verdict = yield from _learn_heads(
            slide, grid, samples, analyzed, model, path, batch_size
        )
    if not verdict.accepted:
        return AdaptResult(strokes, verdict, None)
    adapter = save_adapter(
        name,
        model_name,
        model.folder,
        files,
        {
            "method": "lora" if lora else "heads",
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "strokes": strokes.to_json(),
            "slides": [slide.fingerprint],
            "verdict": verdict.to_json(),
            "gate": f"{verdict.sites} held-out sites: {verdict.in_words}",
        },
        real_classes=_real_classes(slide, strokes),
    )
    return AdaptResult(strokes, verdict, adapter.folder)


def _learn_heads(
    slide: Slide,
    grid: TileGrid,
    samples: PaintedSamples,
    analyzed: Any,
    model: LoadedModel,
    path: Path,
    batch_size: int,
) -> Generator[AdaptEvent, None, tuple[dict[str, Any], Verdict]]:
    painted = samples.touched_tiles()
    reference = choose_reference(analyzed, painted)
    about = {"fingerprint": slide.fingerprint, "mpp": grid.mpp}
    cache = TileCache(cache_folder(path), cache_key(about, model.identity))
    wanted = [*sorted(painted), *reference]
    stage = feature_events(slide, grid, wanted, model, cache, batch_size=batch_size)
    with closing(stage):
        features = yield from stage
    samples = samples.on_tiles(features)
    StrokeCounts.of(samples, OSTEOSARCOMA).require_enough()
    reference = [index for index in reference if index in features]
    learned = yield from learn_events(
        model_heads(model), samples, features, reference, OSTEOSARCOMA
    )
    return {HEADS_FILE: learned.heads.state()}, learned.verdict


def _grid(slide: Slide, model: LoadedModel, store: AnalysisStore) -> TileGrid:
    """Return the tile grid of slide and model, and refuse a store with another one."""
    stored = store.provenance.get("slide", {}).get("fingerprint")
    if stored != slide.fingerprint:
        raise ConfigError(
            f"{store.path} is an analysis of another slide than {slide.name}.",
            hint="Give the slide that it was made from.",
        )
    grid = TileGrid(slide.levels[0].shape, require_mpp(slide), model.card.analysis_mpp)
    if grid.geometry != store.geometries.tile:
        raise ConfigError(
            f"{store.path} has other tiles than those of the model {model.card.id!r}.",
            hint="Use a model of the same µm per pixel as the one it was made with.",
        )
    return grid


def _real_classes(slide: Slide, strokes: StrokeCounts) -> tuple[str, ...]:
    if slide.backend == SYNTHETIC:
        return ()
    return tuple(short for short, n in strokes.sites_of.items() if n)
