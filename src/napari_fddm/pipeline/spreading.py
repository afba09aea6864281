"""A run in which strokes hold fast and spread: what it starts from, keeps and records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from napari_fddm.core.config import AnalysisConfig, StageName
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.clamping import CellClamp
from napari_fddm.pipeline.strokes import read_strokes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_fddm.pipeline.store import AnalysisStore

    Labels = npt.NDArray[np.uint8]
    Entry = dict[str, Any]

KEY = "spread"
"""Of the run's provenance: windows of the label map that strokes were spread in."""


@dataclass(slots=True, eq=False)
class Spreading:
    """Strokes of a store, and the model's labels from before they are spread.

    Under a stroke the model's own label stays: what a person said there is a correction of
    it, and counts as one.

    Attributes
    ----------
    painted : array of uint8, shape of the label grid
        Class values, 0 where nobody painted.
    before : array of uint8, shape of the label grid
        The model's labels.
    clamp : CellClamp
        The strokes on bridge cells.
    entry : dict
        What provenance says of it.
    changed : int
        Label cells without a stroke that have another class now, as far as it was counted.
    """

    painted: Labels
    before: Labels
    clamp: CellClamp
    entry: Entry
    changed: int = 0

    @classmethod
    def of_store(cls, store: AnalysisStore, window: Window) -> Self:
        """Read the strokes of a store.

        Parameters
        ----------
        store : AnalysisStore
            Open.
        window : Window
            Cells of the label grid that the run looks at.

        Raises
        ------
        ConfigError
            If nobody painted there.
        """
        last_seq = store.log.last_seq
        painted = read_strokes(store).painted
        if not painted[window.slices].any():
            raise ConfigError(
                "nobody painted where this run looks, so there is nothing to spread.",
                hint="Correct some places first, or choose a region with strokes.",
            )
        grids = store.geometries
        clamp = CellClamp.of_strokes(painted, grids.label, grids.cell)
        entry = {
            "window": [window.y, window.x, window.height, window.width],
            "painted_cells": int(np.count_nonzero(painted[window.slices])),
            "last_seq": last_seq,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        return cls(painted, store.automatic_labels(), clamp, entry)

    def keep(self, window: Window, labels: Labels, *, count: bool = False) -> Labels:
        """Return new labels of a window with the model's old ones under the strokes.

        Parameters
        ----------
        window : Window
            Cells of the label grid.
        labels : array of uint8, shape of the window
        count : bool
            Whether these are the final ones, so that changes are counted.
        """
        before = self.before[window.slices]
        kept = np.where(self.painted[window.slices] > 0, before, labels)
        if count:
            self.changed += int(np.count_nonzero(kept != before))
        return kept

    @property
    def note(self) -> str:
        """What a reader should know of the run."""
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
            "strokes are spread in an analysis as it is, not while it starts over.",
            hint="Start over first, then spread.",
        )
    if config.stage is StageName.PATCH:
        raise ConfigError(
            "strokes spread from cell to cell, and this run has whole tiles alone.",
            hint="Choose cells or refined cells (--stage refined).",
        )
    if not path.exists():
        raise ConfigError(
            f"there is no analysis {path}, so there are no strokes to spread.",
            hint="Run FDDM and correct it first.",
        )


def remaining(entries: Sequence[Entry], window: Window) -> list[Entry]:
    """Return the entries that a run over a window of the label map leaves."""
    return [entry for entry in entries if not _covers(window, Window(*entry["window"]))]


def _covers(outer: Window, inner: Window) -> bool:
    return (
        outer.y <= inner.y
        and outer.x <= inner.x
        and outer.y + outer.height >= inner.y + inner.height
        and outer.x + outer.width >= inner.x + inner.width
    )
