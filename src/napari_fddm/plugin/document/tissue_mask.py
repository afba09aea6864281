"""The tissue mask of one slide in memory and on the disk, whatever thread writes it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.geometry import MapGeometry
from napari_fddm.core.tissue import MASK_UM, everything
from napari_fddm.pipeline.tissue.kept_mask import (
    KeptMask,
    mask_folder,
    read_kept_mask,
    remove_kept_mask,
    write_kept_mask,
    write_run_mask,
)
from napari_fddm.pipeline.tissue.user_mask import AUTOMATIC, read_user_mask
from napari_fddm.plugin.panels import tissue_row

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.plugin.layers.tissue import TissueLabels
    from napari_fddm.plugin.state.window_state import ShownSlide

    Mask = npt.NDArray[np.bool_]


class TissueEdits:
    """What a person made of a slide's tissue mask.

    Parameters
    ----------
    info : ShownSlide
        The slide.
    mpp : float
        µm per level-0 px.

    Attributes
    ----------
    found : array of bool or None
        The mask found automatically; None before somebody looked.
    layer : TissueLabels or None
        Where it is edited.
    changed : bool
        Whether the layer holds what was not taken yet.
    problem : str
        Why the disk does not have it; empty if it does.
    """

    def __init__(self, info: ShownSlide, mpp: float) -> None:
        self.info, self.mpp = info, mpp
        self.geometry = MapGeometry.covering(info.shape, MASK_UM / mpp, mpp)
        self.found: Mask | None = None
        self.layer: TissueLabels | None = None
        self.changed = False
        self.problem = ""
        self._folder: Path | None = None
        self._kept: KeptMask | None = None
        self._written: KeptMask | None = None
        self._source = ""  # setting of an earlier run, until it is edited
        self._base: Mask | None = None  # what that gave
        self._lock = threading.Lock()

    def load(self) -> None:
        """Read what was kept, once.

        Raises
        ------
        StoreError
            If it is there and cannot be read.
        """
        with self._lock:
            if self._folder is None:
                folder = mask_folder(self.info.local_path, self.info.fingerprint)
                self._kept = read_kept_mask(folder, self.geometry, self.info.fingerprint)
                self._written, self._folder = self._kept, folder

    def write(self) -> None:
        """Bring the disk up to date.

        Raises
        ------
        StoreError
            If that is not possible.
        """
        with self._lock:
            kept, folder = self._kept, self._folder
            if folder is None or kept is self._written:
                return
            if kept is None:
                remove_kept_mask(folder)
            else:
                write_kept_mask(folder, kept, self.geometry, self.info.fingerprint)
            self._written = kept

    def take(self) -> None:
        """Take over what the layer holds."""
        if not self.changed or self.layer is None or self.found is None:
            return
        self.changed = False
        mask = self.layer.mask
        before = self.mask
        if before is not None and np.array_equal(mask, before):
            return  # it was only drawn anew
        self._source, self._base = "", None
        kept = KeptMask.of(mask, self.found, self.geometry.cell_mm2)
        self._kept = kept if kept.edited else None

    @property
    def mask(self) -> Mask | None:
        """What counts as tissue; None while only a run would find it."""
        if self._base is not None:
            return self._base
        return self._kept.mask if self._kept is not None else self.found

    @property
    def setting(self) -> str:
        """`AnalysisConfig.tissue` of the next run.

        Raises
        ------
        StoreError
            If the mask cannot be written for it.
        """
        self.load()
        self.take()
        self.write()
        if self._source:
            return self._source
        if self._kept is None or self._folder is None:
            return "auto"
        path = write_run_mask(self._folder, self._kept, self.geometry, self.info.fingerprint)
        return str(path)

    def take_up(self, setting: str) -> None:
        """Go back to the mask of an earlier run; what was edited stays in the undo history.

        Raises
        ------
        ConfigError, StoreError
            If it cannot be read.
        """
        self.load()
        self.take()
        given = read_user_mask(setting)
        self._kept, self._source, self._base = None, "", None
        if given is not None:
            self._source = setting
            self._base = given.on_grid(self.geometry, self.info.shape).mask
        elif setting != AUTOMATIC[0]:
            self._source, self._base = setting, everything(self.geometry).mask
        path = Path(setting)
        if given is not None and path.parent == self._folder:
            fingerprint = self.info.fingerprint
            self._kept = read_kept_mask(path.parent, self.geometry, fingerprint, path.name)
        elif self._base is not None and self.found is not None:
            kept = KeptMask.of(self._base, self.found, self.geometry.cell_mm2)
            self._kept = kept if kept.edited else None
        mask = self.mask
        if self.layer is not None and mask is not None:
            self.layer.put(mask)
            self.changed = False

    @property
    def text(self) -> str:
        """What the mask is, in words."""
        if self._kept is not None:
            return tissue_row.EDITED.format(self._kept.added_mm2, self._kept.removed_mm2)
        if self._source:
            return tissue_row.AS_IN.format(self._source.replace("\\", "/").rsplit("/", 1)[-1])
        return tissue_row.AUTOMATIC
