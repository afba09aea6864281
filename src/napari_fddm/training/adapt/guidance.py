"""Counts the strokes in a store, and says what to paint before a model can learn from them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import TrainingError
from napari_fddm.pipeline.store import AnalysisStore, read_strokes
from napari_fddm.training.adapt.samples import painted_samples

if TYPE_CHECKING:
    from pathlib import Path

    from napari_fddm.core.classes import ClassTable
    from napari_fddm.training.adapt.samples import PaintedSamples

LEAST_SITES = 6
"""Fewer say too little of a patient to judge whether learning helped (docs/adapting.md)."""
GOOD_SITES = 12
"""With this many sites learning helped in nearly every simulation (docs/adapting.md)."""
LEAST_CLASSES = 2
"""A model that learns from one class alone learns to predict nothing else."""
LEAST_SITES_PER_CLASS = 2
"""For a class that is judged: one site to learn from and one to be judged on."""


class NotEnoughStrokesError(TrainingError):
    """There are strokes at too few places to learn from."""


@dataclass(frozen=True, slots=True)
class StrokeCounts:
    """How much was painted.

    Attributes
    ----------
    sites : int
        Number of sites: places with strokes, see `adapt.samples`.
    sites_of : dict of str to int
        Sites by class abbreviation, for every class of the table.
    cells, tiles : int
        Painted bridge cells and painted tiles.
    """

    sites: int
    sites_of: dict[str, int]
    cells: int
    tiles: int

    @classmethod
    def of(cls, samples: PaintedSamples, table: ClassTable) -> StrokeCounts:
        """Count the samples that strokes give."""
        found = samples.sites_of()
        by_class = {tissue.short: found.get(tissue.value, 0) for tissue in table}
        return cls(samples.sites, by_class, len(samples.cells), len(samples.tiles))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @property
    def enough(self) -> bool:
        """Whether there are enough sites to learn from and to judge on."""
        judged = sum(n >= LEAST_SITES_PER_CLASS for n in self.sites_of.values())
        return self.sites >= LEAST_SITES and judged >= LEAST_CLASSES

    @property
    def in_words(self) -> str:
        """The counts for users, e.g. "7 places: necrosis 4, viable tumor 3"."""
        parts = [f"{_name(short)} {n}" for short, n in self.sites_of.items() if n]
        places = f"{self.sites} place" + ("" if self.sites == 1 else "s")
        return f"{places}: {', '.join(parts)}" if parts else places

    @property
    def advice(self) -> str:
        """What to paint next, for users; empty if more strokes would hardly help."""
        absent = [_name(short) for short, n in self.sites_of.items() if n == 0]
        without = f" Classes without strokes: {', '.join(absent)}." if absent else ""
        judged = sum(n >= LEAST_SITES_PER_CLASS for n in self.sites_of.values())
        if self.sites < LEAST_SITES:
            return (
                f"Paint at {LEAST_SITES} places or more, better {GOOD_SITES}, spread over the "
                f"slide; there are {self.sites}.{without}"
            )
        if judged < LEAST_CLASSES:
            return (
                f"Paint at least {LEAST_CLASSES} classes at {LEAST_SITES_PER_CLASS} places each, "
                f"also where the model is right.{without}"
            )
        if self.sites < GOOD_SITES:
            return f"{GOOD_SITES} places, spread over the slide, would help more.{without}"
        return without.strip()

    def require_enough(self) -> None:
        """Raise an error if there are too few sites.

        Raises
        ------
        NotEnoughStrokesError
            With the counts, and a hint that says what to paint.
        """
        if not self.enough:
            raise NotEnoughStrokesError(
                f"there are too few strokes to learn from ({self.in_words}).", hint=self.advice
            )


def _name(short: str) -> str:
    return OSTEOSARCOMA[short].name


def count_strokes(path: Path) -> StrokeCounts:
    """Return how much is painted in a store; needs no model.

    Raises
    ------
    StoreError
        If the store cannot be read.
    """
    with AnalysisStore.open(path) as store:
        samples = painted_samples(read_strokes(store), store.geometries.cell)
        return StrokeCounts.of(samples, store.table)
