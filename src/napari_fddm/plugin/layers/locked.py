"""A Labels layer that can be locked, after a sign-off or while another window edits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from psygnal import Signal

from napari_fddm.core.geometry import Window

if TYPE_CHECKING:
    import numpy.typing as npt

HARMLESS_MODES = ("pan_zoom", "transform", "pick")
"""Modes in which nothing is painted."""


class LockableLabels(Labels):
    """Refuses changes by tools, undo and scripts while it has a `lock_reason`.

    napari's ``editable`` alone stops neither keys nor code.

    Attributes
    ----------
    refused : psygnal signal of str
        Somebody tried to change the locked layer; gives the reason of the lock.
    repainted : psygnal signal of Window, array of bool, int
        A tool paints a class; gives the window, the cells in it that have this class
        already, and the class. That is no edit, but a person confirms their class.
    """

    refused = Signal(str)
    repainted = Signal(Window, np.ndarray, int)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._lock_reason = ""
        super().__init__(*args, **kwargs)

    @property
    def lock_reason(self) -> str:
        """Why the labels may not be changed; empty if they may."""
        return self._lock_reason

    @lock_reason.setter
    def lock_reason(self, reason: str) -> None:
        self._lock_reason = reason
        self._reset_editable()

    def forget_history(self) -> None:
        """Remove all undo and redo steps."""
        self._reset_history()

    def data_setitem(self, indices: Any, value: Any, refresh: bool = True) -> None:
        """Write cells as a step that can be undone; restoring and scripts use this."""
        if not self._refuses():
            super().data_setitem(indices, value, refresh)

    def _refuses(self) -> bool:
        """Return whether the layer is locked; emit `refused` if it is."""
        if self._lock_reason:
            self.refused.emit(self._lock_reason)
        return bool(self._lock_reason)

    def _reset_editable(self) -> None:
        self.editable = not self._lock_reason  # napari calls this when the data is replaced

    def _mode_setter_helper(self, mode_in: Any) -> Any:
        if str(mode_in) not in HARMLESS_MODES:
            self._refuses()
        return super()._mode_setter_helper(mode_in)

    def _paint_region_with_mask(
        self,
        slice_key: tuple[slice, ...],
        mask: npt.NDArray[np.bool_],
        new_label: int,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        if self._refuses():
            return
        same = mask & (self.data[slice_key] == new_label)
        if new_label and same.any():
            y, x = (part.start for part in slice_key)
            self.repainted.emit(Window(int(y), int(x), *same.shape), same, int(new_label))
        super()._paint_region_with_mask(slice_key, mask, new_label, *args, **kwargs)

    def _load_history(self, before: Any, after: Any, undoing: bool = True) -> None:
        if not self._refuses():
            super()._load_history(before, after, undoing)
