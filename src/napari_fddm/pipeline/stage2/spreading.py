"""A run that keeps and spreads strokes: its strokes, the labels under them, its record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from napari_fddm.core.config import AnalysisConfig, StageName
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.stage2.clamping import CellClamp, count_by_cell
from napari_fddm.pipeline.store import read_strokes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_fddm.core.geometry import MapGeometry
    from napari_fddm.pipeline.stage1 import CellMaps
    from napari_fddm.pipeline.store import AnalysisStore

    Labels = npt.NDArray[np.uint8]
    Entry = dict[str, Any]


class Spreading:
    """Strokes of a store, and the model's labels before the strokes are spread.

    Under a stroke the stored map keeps the model's own label and probabilities: the person's
    class differs from them and still counts as a correction.

    Parameters
    ----------
    painted : array of uint8, shape of the label grid
        Class values, 0 where nobody painted.
    window, cells : Window
        What the run was asked for: cells of the label grid, and bridge cells.
    last_seq : int or None
        Number of the newest record of the event log among the strokes.

    Attributes
    ----------
    entry : dict
        What provenance records of it.
    clamp : CellClamp
        The strokes on bridge cells; empty before `begin`.
    changed : int
        Label cells whose class changed, among those stored so far.
    """

    def __init__(
        self, painted: Labels, window: Window, cells: Window, last_seq: int | None
    ) -> None:
        self._painted, self._cells = painted, cells
        self._labels = np.zeros_like(painted)
        self._probs: npt.NDArray[np.floating] = np.zeros((0, 0, 0), np.float16)
        self.clamp = CellClamp(np.zeros((0, 0), np.uint8))
        self.changed = 0
        self.entry: Entry = {
            "window": [window.y, window.x, window.height, window.width],
            "painted_cells": int(np.count_nonzero(painted[window.slices])),
            "last_seq": last_seq,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    @classmethod
    def of_store(cls, store: AnalysisStore, window: Window, cells: Window) -> Self:
        """Read the strokes of a store; nothing is written.

        Parameters
        ----------
        store : AnalysisStore
            Open.
        window, cells : Window
            What the run was asked for: cells of the label grid, and bridge cells.

        Raises
        ------
        ConfigError
            If nobody painted there, or only thin strokes.
        """
        last_seq = store.log.last_seq
        painted = read_strokes(store).painted
        if not painted[window.slices].any():
            raise ConfigError(
                "nobody painted where this run looks, so there is nothing to spread.",
                hint="Correct some places first, or choose a region with strokes.",
            )
        grids = store.geometries
        if not CellClamp.of_strokes(painted, grids.label, grids.cell).labels[cells.slices].any():
            raise ConfigError(
                f"no stroke here covers half of a cell of {grids.cell.cell_um:.0f} µm, so nothing "
                "can spread.",
                hint="Paint with a larger brush.",
            )
        return cls(painted, window, cells, last_seq)

    def drop_unanalyzed(self, maps: CellMaps, grid: MapGeometry) -> None:
        """Leave out strokes on label cells in tiles not analyzed: stage 1 says nothing there."""
        whole = Window(0, 0, *grid.shape)
        self._painted = np.where(maps.analyzed_at(grid, whole), self._painted, 0)

    def lacks_labels(self, store: AnalysisStore) -> bool:
        """Whether a stroke of this run lies on cells that were never refined."""
        grids = store.geometries
        painted = np.any(count_by_cell(self._painted, grids.label, grids.cell), axis=0)
        done = store.maps.probability_map("refined").coverage
        here = self._cells.slices
        return bool((painted[here] & ~done[here]).any())

    def begin(self, store: AnalysisStore) -> None:
        """Take the strokes onto the bridge cells, and keep the model's current labels."""
        grids = store.geometries
        self.clamp = CellClamp.of_strokes(self._painted, grids.label, grids.cell)
        self._labels = store.maps.labels()
        self._probs = store.maps.probability_map("refined").probs

    def keep_labels(self, window: Window, labels: Labels) -> Labels:
        """Return new labels of a window with the model's old ones under the strokes."""
        return np.where(self._painted[window.slices] > 0, self._labels[window.slices], labels)

    def keep_probs(
        self, cells: Window, probs: npt.NDArray[np.floating]
    ) -> npt.NDArray[np.floating]:
        """Return new probabilities of bridge cells with the model's old ones under strokes."""
        return np.where(self.clamp.window(cells) > 0, self._probs[:, *cells.slices], probs)

    def count(self, window: Window, labels: Labels) -> None:
        """Add the label cells that change in a window which is about to be stored."""
        self.changed += int(np.count_nonzero(labels != self._labels[window.slices]))

    @property
    def note(self) -> str:
        """A note for the reader on what the run changed."""
        cells = f"{self.changed:,} cell{'' if self.changed == 1 else 's'}"
        return (
            f"strokes were spread: {cells} of the map have another class. Another run here, "
            "without spreading, takes that back"
        )


def check_spread(path: Path, config: AnalysisConfig, *, again: bool) -> None:
    """Refuse to spread where nothing can be spread.

    Parameters
    ----------
    path : Path
        The store.
    config : AnalysisConfig
        Settings of the run.
    again : bool
        Whether the run is to start over.

    Raises
    ------
    ConfigError
        Saying what to do.
    """
    if again:
        raise ConfigError(
            "strokes are spread in an existing analysis, not while one starts over.",
            hint="Start over first, then spread.",
        )
    if config.stage is StageName.PATCH:
        raise ConfigError(
            "strokes spread from cell to cell, and this run has only whole tiles.",
            hint="Choose cells or refined cells (--stage refined).",
        )
    if not path.exists():
        raise ConfigError(
            f"there is no analysis {path}, so there are no strokes to spread.",
            hint="Run FDDM and correct it first.",
        )


def remaining(entries: Sequence[Entry], window: Window) -> list[Entry]:
    """Return the records of spreading that remain after a plain run over a window of labels."""
    return [entry for entry in entries if not window.contains(Window(*entry["window"]))]
