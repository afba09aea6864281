"""Clamping: strokes as known classes of bridge cells, which the refinement keeps.

RePaint (Lugmayr et al., CVPR 2022) fills holes in images by setting the known pixels again
in every reverse step. Here the known cells are strokes, and the rest of the region is filled.
Before that, strokes are spread to cells whose tissue looks the same (`core.spreading`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from napari_fddm.core.geometry import Window
from napari_fddm.core.spreading import REACH_CELLS, spread_strokes
from napari_fddm.core.tiling import CELLS_PER_TILE

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.core.geometry import MapGeometry
    from napari_fddm.pipeline.stage1 import CellMaps

LEAST_COVER = 0.5
"""Share of a bridge cell that must be painted for its class to be known."""
NEGLIGIBLE = 8.0
"""Beyond this multiple of a walker's reach a stroke is ignored: a share of e⁻⁸ gets so far."""


@dataclass(frozen=True, slots=True, eq=False)
class CellClamp:
    """Bridge cells whose class is known.

    Attributes
    ----------
    labels : array of uint8, shape (H, W)
        Class value of each bridge cell; 0 where the refiner decides.
    """

    labels: npt.NDArray[np.uint8]

    @classmethod
    def of_strokes(
        cls, painted: npt.NDArray[np.uint8], labels: MapGeometry, cells: MapGeometry
    ) -> Self:
        """Give a cell the class of most of its painted part, if enough of it is painted.

        Parameters
        ----------
        painted : array of uint8, shape of the label grid
            Class values; 0 where nobody painted.
        labels, cells : MapGeometry
            The label grid, and that of the bridge cells.
        """
        counts = count_by_cell(painted, labels, cells)
        known = np.zeros(cells.shape, np.uint8)
        if len(counts):
            enough = counts.sum(axis=0) >= LEAST_COVER * (cells.cell / labels.cell) ** 2
            known[enough] = counts.argmax(axis=0)[enough] + 1
        return cls(known)

    def spread(self, maps: CellMaps) -> CellMaps:
        """Return stage-1 maps changed to the strokes' classes, on them and around them.

        The refiner alone does not spread strokes: it starts from y, and around a stroke y
        has the old class (``docs/science.md#do-corrections-spread``).
        """
        if not self.labels.any():
            return maps
        far = int(NEGLIGIBLE * REACH_CELLS)
        near = Window.of_mask(self.labels > 0).dilated(far).clipped(self.labels.shape).slices
        analyzed = maps.analyzed.repeat(CELLS_PER_TILE, 0).repeat(CELLS_PER_TILE, 1)
        probs = maps.cell_probs.copy()
        probs[:, *near] = spread_strokes(
            probs[:, *near].astype(np.float32),
            maps.features[:, *near],
            self.labels[near],
            analyzed[near],
        )
        return replace(maps, cell_probs=probs)

    def window(self, cells: Window) -> npt.NDArray[np.uint8]:
        """Return the labels of a window of cells; 0 beyond the map."""
        found = np.zeros((cells.height, cells.width), np.uint8)
        inside = cells.clipped((self.labels.shape[0], self.labels.shape[1]))
        if not inside.is_empty:
            found[inside.relative_to(cells).slices] = self.labels[inside.slices]
        return found


def count_by_cell(
    painted: npt.NDArray[np.uint8], labels: MapGeometry, cells: MapGeometry
) -> npt.NDArray[np.int64]:
    """Count label cells by class and by the bridge cell that their center lies in.

    Returns
    -------
    array of int64, shape (highest class, H, W)
    """
    rows, cols = np.nonzero(painted)
    values = painted[rows, cols].astype(np.int64) - 1
    index = [
        cells.cells_at(axis, labels.centers(axis, places))
        for axis, places in enumerate((rows, cols))
    ]
    counts = np.zeros((int(values.max(initial=-1)) + 1, *cells.shape), np.int64)
    np.add.at(counts, (values, *index), 1)
    return counts
