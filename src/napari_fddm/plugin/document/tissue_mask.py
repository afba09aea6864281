"""The tissue mask of one slide: found, edited on a layer, kept on disk, given to the next run."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.geometry import MapGeometry
from napari_fddm.core.tissue import MASK_UM, everything
from napari_fddm.pipeline.tissue import read_user_mask
from napari_fddm.pipeline.tissue.kept_mask import (
    KeptMask,
    mask_folder,
    read_kept_mask,
    remove_kept_mask,
    write_kept_mask,
    write_run_mask,
)
from napari_fddm.pipeline.tissue.user_mask import AUTOMATIC

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.plugin.layers.tissue import TissueLabels
    from napari_fddm.plugin.state.window_state import ShownSlide

    Mask = npt.NDArray[np.bool_]

AUTOMATIC_TEXT = "automatic"
EDITED_TEXT = "edited by hand: +{:.2f} mm², −{:.2f} mm²"
EARLIER_TEXT = "as in the earlier run: {}"


class TissueEdits:
    """The tissue mask of a slide, with what a person changed.

    `load` and `write` may be called in another thread; everything else belongs to the
    main thread.

    Parameters
    ----------
    info : ShownSlide
        The slide.
    mpp : float
        µm per level-0 px.

    Attributes
    ----------
    found : array of bool or None
        The mask found automatically; None until it was looked for.
    layer : TissueLabels or None
        Where it is edited.
    changed : bool
        Whether the layer has changes that `take` has not copied yet.
    problem : str
        Why the mask could not be written to disk; empty if it could.
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
        self._source = ""  # the setting of an earlier run, until the mask is edited
        self._base: Mask | None = None  # the mask that this setting means
        self._lock = threading.Lock()

    def load(self) -> None:
        """Read the mask that was kept on disk; only the first call reads.

        Raises
        ------
        StoreError
            If it is there and cannot be read.
        """
        with self._lock:
            if self._folder is None:
                info = self.info
                folder = mask_folder(info.local_path, info.fingerprint, info.other_series)
                self._kept = read_kept_mask(folder, self.geometry, self.info.fingerprint)
                self._written, self._folder = self._kept, folder

    def write(self) -> None:
        """Write the mask to disk if it changed; remove it there if it is no longer edited.

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
        """Copy the mask from the layer, if it was changed there."""
        if not self.changed or self.layer is None or self.found is None:
            return
        self.changed = False
        mask = self.layer.mask
        before = self.mask
        if before is not None and np.array_equal(mask, before):
            return  # the layer was only redrawn
        self._source, self._base = "", None
        kept = KeptMask.of(mask, self.found, self.geometry.cell_mm2)
        self._kept = kept if kept.edited else None

    @property
    def mask(self) -> Mask | None:
        """What counts as tissue; None if it is neither edited nor found yet."""
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

    def restore(self, setting: str) -> None:
        """Go back to the mask of an earlier run; undo on the layer brings the edits back.

        Parameters
        ----------
        setting : str
            `AnalysisConfig.tissue` of that run.

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
        """Where the mask comes from, in words."""
        if self._kept is not None:
            return EDITED_TEXT.format(self._kept.added_mm2, self._kept.removed_mm2)
        if self._source:
            return EARLIER_TEXT.format(self._source.replace("\\", "/").rsplit("/", 1)[-1])
        return AUTOMATIC_TEXT
