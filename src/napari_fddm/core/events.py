"""Events and result of an analysis: command line, plugin and tests consume the same ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from napari_fddm.core.geometry import MapGeometry, Window
    from napari_fddm.core.signoff import SignOff

STAGE_TITLES = {
    "tissue": "finding tissue",
    "patch": "classifying tiles",
    "refined": "mapping regions",
    "store": "writing the store",
    "features": "looking at tiles",
    "judge": "judging on held-out sites",
    "learn": "learning",
}
"""Names of the stages in texts for users."""


@dataclass(frozen=True, slots=True)
class AnalysisOpened:
    """The store is open: what it holds from earlier runs.

    Attributes
    ----------
    store : str
        Its folder.
    tile_geometry, label_geometry : MapGeometry
        The two grids that results arrive on.
    patch : array of uint8, shape of the tile grid
        Class per tile, 0 where not analyzed.
    automatic : array of uint8, shape of the label grid
        The model's labels so far.
    corrected : array of uint8, shape of the label grid
        The same with all corrections.
    slide : dict
        name, fingerprint, mpp … of the slide.
    model : dict
        id, licence, whether it was trained on real tissue …
    coverage : float or None
        Share of the slide's tissue that has labels so far.
    device : str
        Where it runs, in words; empty when nothing runs.
    tumor_bed : tuple of array of float, shape (corners, 2)
        The outline a pathologist drew, (y, x) in level-0 px; may be empty.
    estimate : float or None
        The rate that a reader estimated, in [0, 1].
    sign_off : SignOff or None
        Who signed it off, if it is locked.
    last_seq : int or None
        Number of the newest record of the event log that this follows from.
    refined : bool
        Whether the labels are refined ones; else they are those of whole tiles.
    tissue_excluded_mm2 : float or None
        Area of the slide in tiles that the tissue mask left out; None before a run ended.
    held : array of bool, shape of the label grid, or None
        Cells that people decided (`LabelMap.held`); None if there are none.
    spread : bool
        Whether strokes were spread into the automatic labels.
    """

    store: str
    tile_geometry: MapGeometry
    label_geometry: MapGeometry
    patch: npt.NDArray[np.uint8]
    automatic: npt.NDArray[np.uint8]
    corrected: npt.NDArray[np.uint8]
    slide: dict[str, Any]
    model: dict[str, Any]
    coverage: float | None = None
    device: str = ""
    tumor_bed: tuple[npt.NDArray[np.float64], ...] = ()
    estimate: float | None = None
    sign_off: SignOff | None = None
    last_seq: int | None = None
    refined: bool = False
    tissue_excluded_mm2: float | None = None
    held: npt.NDArray[np.bool_] | None = None
    spread: bool = False


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage begins.

    Attributes
    ----------
    stage : str
        A key of `STAGE_TITLES`.
    total : int
        Units of work, for a progress bar; 0 when unknown.
    unit : str
        "tiles" or "regions".
    done : int
        Units that earlier runs finished; they are part of the total.
    """

    stage: str
    total: int
    unit: str = "tiles"
    done: int = 0


@dataclass(frozen=True, slots=True)
class TileBatch:
    """Tiles were classified.

    Attributes
    ----------
    rows, cols : array of int, shape (n,)
        Grid index of each tile.
    labels : array of uint8, shape (n,)
        Most probable class value of each.
    done, total : int
        Progress in tiles, those of earlier runs included.
    """

    rows: npt.NDArray[np.int64]
    cols: npt.NDArray[np.int64]
    labels: npt.NDArray[np.uint8]
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class RegionRefined:
    """A part of the label map was refined.

    Attributes
    ----------
    window : Window
        Cells of the label grid.
    labels : array of uint8, shape of the window
        New automatic labels, 0 where not analyzed.
    done, total : int
        Progress in regions.
    """

    window: Window
    labels: npt.NDArray[np.uint8]
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Progressed:
    """Progress in a stage that has no event of its own.

    Attributes
    ----------
    stage : str
        As in `StageStarted`.
    done, total : int
        Units of the stage.
    """

    stage: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class StageDone:
    """A stage ended.

    Attributes
    ----------
    stage : str
        As in `StageStarted`.
    seconds : float
        Wall time it took.
    notes : tuple of str
        What the user should know, e.g. tiles that could not be read.
    batch_size : int or None
        Items per call of the network in the end: smaller than at the beginning where
        memory ran out. None for stages without a network.
    """

    stage: str
    seconds: float
    notes: tuple[str, ...] = ()
    batch_size: int | None = None


Event = AnalysisOpened | StageStarted | TileBatch | RegionRefined | Progressed | StageDone


@dataclass(frozen=True, slots=True)
class AnalysisResult:
    """What a finished run leaves.

    Attributes
    ----------
    store : Path
        The working store, a valid OME-Zarr.
    report : dict
        As `rate --json` prints it.
    notes : tuple of str
        What the user should know, e.g. tiles that could not be read.
    """

    store: Path
    report: dict[str, Any]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"store": str(self.store), "report": self.report, "notes": list(self.notes)}
