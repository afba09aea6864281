"""Areas behind a rate, mm²: analyzed, excluded, unreadable, so that no loss goes unreported.

The analysis works on whole tiles. A slide's area is the sum of the tiles that the
tissue mask left out, and of those it selected: analyzed, unreadable, never stored, or not yet
reached (outside the requested region, or the run was stopped).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import SlideError
from napari_fddm.core.tissue import TissueMask
from napari_fddm.interop.pyramids import iter_resampled, iter_row_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

    from napari_fddm.core.geometry import MapGeometry
    from napari_fddm.core.tiling import TileGrid
    from napari_fddm.pipeline.stage1.classify import UnreadableTiles

MAX_UNREADABLE = 0.05
"""A run with a larger unreadable share of its tissue ends with an error; its store is kept."""
NAMED_PLACES = 5
"""At most so many places of unreadable tiles are named in a note; the store lists all."""


def mm2_per_tile(grid: TileGrid) -> npt.NDArray[np.float64]:
    """Return how much of the slide lies in each tile, mm², shape of the grid."""
    return np.outer(*_sides_mm(grid.geometry, grid.slide_shape))


def _sides_mm(
    geometry: MapGeometry, slide_shape: tuple[int, int]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the heights of a map's rows and the widths of its columns on the slide, mm."""
    heights, widths = (
        np.diff(np.minimum(np.arange(count + 1) * geometry.cell, size)) * geometry.mpp / 1000.0
        for count, size in zip(geometry.shape, slide_shape, strict=True)
    )
    return heights, widths


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Tiles with tissue that could not be decoded, of this run and of those before.

    Attributes
    ----------
    places : frozenset of (row, col)
        On the tile grid.
    reason : str
        Why the first one could not be decoded.
    """

    places: frozenset[tuple[int, int]] = frozenset()
    reason: str = ""

    @classmethod
    def stored(cls, run: Mapping[str, Any]) -> Unreadable:
        """Read what a store's provenance lists."""
        kept = run.get("unreadable", {})
        places = frozenset((int(row), int(col)) for row, col in kept.get("tiles", []))
        return cls(places, str(kept.get("reason", "")))

    def updated(self, found: UnreadableTiles, analyzed: npt.NDArray[np.bool_]) -> Unreadable:
        """Return the list with those of a new run, and without tiles that are analyzed now."""
        every = self.places | frozenset(found.places)
        left = frozenset(place for place in every if not analyzed[place])
        return Unreadable(left, found.first_reason or self.reason if left else "")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"tiles": [list(place) for place in sorted(self.places)], "reason": self.reason}

    def mm2(self, per_tile: npt.NDArray[np.float64]) -> float:
        """Add up a map of areas over these tiles."""
        return sum_over(self.places, per_tile)

    def notes(self, grid: TileGrid) -> tuple[str, ...]:
        """Return a note on their number, area and places; none if there are no such tiles."""
        count = len(self.places)
        if not count:
            return ()
        area = self.mm2(mm2_per_tile(grid))
        some, they = ("tile", "is") if count == 1 else ("tiles", "are")
        places = [grid.tile(*place).region for place in sorted(self.places)[:NAMED_PLACES]]
        where = "; ".join(f"{place.y:.0f}, {place.x:.0f}" for place in places)
        more = " and elsewhere" if count > NAMED_PLACES else ""
        return (
            f"{count} {some} ({area:.3g} mm²) could not be read and {they} in no sum: "
            f"at level-0 y, x {where}{more}; {self.reason}",
        )


@dataclass(frozen=True, slots=True)
class NotStored:
    """Tiles with tissue where the slide has no pixels: they are not analyzed.

    Attributes
    ----------
    tiles : array of bool, shape of the tile grid
        Those in which tissue, by the mask, lies on pixels that were never stored.
    """

    tiles: npt.NDArray[np.bool_]

    @classmethod
    def of(
        cls, tissue: TissueMask, lost: npt.NDArray[np.bool_] | None, grid: TileGrid
    ) -> NotStored:
        """Return them for the cells of the tissue mask that have no pixels; None: no cell."""
        if lost is None:
            return cls(np.zeros(grid.shape, bool))
        there = TissueMask(tissue.mask & lost, tissue.geometry, tissue.method)
        tiles = there.mm2_per_tile(grid.geometry) > 0
        return cls(tiles & tissue.tiles_to_analyze(grid.geometry))

    @property
    def count(self) -> int:
        """How many."""
        return int(np.count_nonzero(self.tiles))

    def mm2(self, grid: TileGrid) -> float:
        """Area of these tiles on the slide, mm²."""
        return float(mm2_per_tile(grid)[self.tiles].sum())

    def notes(self, grid: TileGrid) -> tuple[str, ...]:
        """Return a note on their number and area; none if there are no such tiles."""
        if not self.count:
            return ()
        some, have = ("tile", "has") if self.count == 1 else ("tiles", "have")
        them = "is" if self.count == 1 else "are"
        return (
            f"{self.count} {some} ({self.mm2(grid):.3g} mm²) {have} no stored pixels and {them} "
            "not analyzed",
        )


def sum_over(places: Iterable[tuple[int, int]], per_tile: npt.NDArray[np.float64]) -> float:
    """Add up a map of areas over some tiles."""
    return float(sum(per_tile[place] for place in places))


def unreadable_error(
    found: UnreadableTiles,
    looked_at: npt.NDArray[np.bool_],
    tissue_mm2: npt.NDArray[np.float64],
    slide_name: str,
    kept_in: object,
) -> SlideError | None:
    """Return the error that a run ends with if too much of its tissue is unreadable.

    Parameters
    ----------
    found : UnreadableTiles
        Of this run.
    looked_at : array of bool, shape of the tile grid
        The requested tiles that it could read.
    tissue_mm2 : array of float, shape of the tile grid
        Tissue in each tile, mm².
    slide_name : str
        For the message.
    kept_in : Path
        The store, for the hint.
    """
    lost = sum_over(found.places, tissue_mm2)
    total = lost + float(tissue_mm2[looked_at].sum())
    if lost <= MAX_UNREADABLE * total:
        return None
    count = len(found.places)
    return SlideError(
        f"{slide_name}: {count} of {count + int(looked_at.sum())} tissue tiles cannot be read, "
        f"{lost:.3g} mm² or {lost / total:.0%} of the tissue ({found.first_reason.rstrip('.')}).",
        hint=f"What could be read is kept in {kept_in}.",
    )


def compute_areas(
    tissue: TissueMask,
    grid: TileGrid,
    unreadable: Unreadable,
    not_stored: NotStored,
    labels: npt.NDArray[np.uint8],
    label_geometry: MapGeometry,
) -> dict[str, Any]:
    """Return the areas behind a rate, as the report and the provenance hold them.

    Parameters
    ----------
    tissue : TissueMask
        What is tissue.
    grid : TileGrid
        The slide's tiles.
    unreadable : Unreadable
        Tiles that could not be decoded.
    not_stored : NotStored
        Tiles without pixels.
    labels : array of uint8, shape (H, W)
        The automatic labels, 0 where not analyzed.
    label_geometry : MapGeometry
        Where the labels lie.

    Returns
    -------
    dict
        ``slide_mm2``, ``tissue_mm2`` (by the mask), ``tissue_excluded_mm2``
        (area of the slide in tiles that the tissue mask excludes),
        ``tissue_not_analyzed_mm2`` (tissue without labels),
        ``unreadable_mm2`` and ``unreadable_tiles``, ``not_stored_mm2`` and
        ``not_stored_tiles``, ``coverage`` (share of the
        tissue that has labels, None without tissue).
    """
    per_tile = mm2_per_tile(grid)
    selected = tissue.tiles_to_analyze(grid.geometry)
    heights, widths = _sides_mm(tissue.geometry, grid.slide_shape)
    tissue_mm2 = sum(
        float(heights[rows] @ tissue.mask[rows] @ widths)
        for rows in iter_row_blocks(tissue.mask.shape)
    )
    share = coverage(tissue, labels, label_geometry)
    return {
        "slide_mm2": float(per_tile.sum()),
        "tissue_mm2": tissue_mm2,
        "tissue_excluded_mm2": float(per_tile[~selected].sum()),
        "unreadable_tiles": len(unreadable.places),
        "unreadable_mm2": unreadable.mm2(per_tile),
        "unreadable": unreadable.to_json(),
        "not_stored_tiles": not_stored.count,
        "not_stored_mm2": not_stored.mm2(grid),
        "tissue_not_analyzed_mm2": 0.0 if share is None else tissue_mm2 * (1.0 - share),
        "coverage": share,
    }


def coverage(
    tissue: TissueMask, labels: npt.NDArray[np.uint8], label_geometry: MapGeometry
) -> float | None:
    """Return the share of the slide's tissue that has labels, None without tissue.

    Tiles around a viewport are classified because the refiner reads them, but
    they have no refined labels, so they do not count.
    """
    mask = tissue.mask.view(np.uint8)
    cells = labeled = 0
    for rows, there in iter_resampled(mask, tissue.geometry, label_geometry):
        cells += int(np.count_nonzero(there))
        labeled += int(np.count_nonzero(there * (labels[rows] != 0)))
    return labeled / cells if cells else None
