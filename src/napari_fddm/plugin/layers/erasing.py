"""What erasing does: it restores the model's label and never writes 0.

0 means "not analyzed" here and would silently shrink the denominator of the rate
(``docs/architecture.md#editing-and-the-live-rate``). Cells of protected classes stay as they
are, whatever the tool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.plugin.layers.locked import LockableLabels

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.core.maps import LabelMap

AUTOMATIC = -1
"""Passed through napari's tools instead of a label: "the model's label of each cell"."""


class RestoringLabels(LockableLabels):
    """Labels over those of a model, which erasing brings back.

    Parameters
    ----------
    label_map : LabelMap
        Its ``labels`` are painted in place, its ``automatic`` ones are restored.
    **options
        Of a napari ``Labels`` layer.

    Attributes
    ----------
    protected : frozenset of int
        Classes whose cells no tool changes: neither brush nor fill nor lasso, by no action.
    """

    def __init__(self, label_map: LabelMap, **options: Any) -> None:
        self._label_map = label_map
        self._doing: str | None = None
        self.protected: frozenset[int] = frozenset()
        super().__init__(label_map.labels, **options)

    def reset(self) -> None:
        """Restore the model's labels everywhere except in protected classes; can be undone."""
        self._doing = "reset"
        try:
            everywhere = tuple(slice(0, n) for n in self.data.shape)
            self._restore(everywhere, np.ones((1, 1), np.bool_), refresh=True)
        finally:
            self._doing = None

    @property
    def _is_limited(self) -> bool:
        """Whether there are cells that tools may not change."""
        return bool(self.protected)

    def _may_change(self, values: npt.NDArray[np.uint8], label: int) -> npt.NDArray[np.bool_]:
        """Return where a tool that writes a label may change cells, by their present values."""
        free = np.ones(256, np.bool_)
        free[list(self.protected)] = False
        return np.asarray(free[values])

    def _paint_region_with_mask(
        self,
        slice_key: tuple[slice, ...],
        mask: npt.NDArray[np.bool_],
        new_label: int,
        dims_to_paint: list[int],
        refresh: bool = True,
        region_data: npt.NDArray[np.uint8] | None = None,
    ) -> None:
        # napari calls this for brush, fill, polygon and the lasso drawn with the right button.
        if new_label == AUTOMATIC:
            self._restore(slice_key, mask, refresh)
            return
        if self._is_limited:
            mask = mask & self._may_change(self.data[slice_key], new_label)
        super()._paint_region_with_mask(
            slice_key, mask, new_label, dims_to_paint, refresh, region_data
        )

    def _restore(
        self, slice_key: tuple[slice, ...], mask: npt.NDArray[np.bool_], refresh: bool
    ) -> None:
        """Write the automatic labels inside a mask of a region, as a step that can be undone."""
        now, automatic = self.data[slice_key], self._label_map.automatic[slice_key]
        changed = mask & (now != automatic)
        if self.protected:
            changed &= self._may_change(now, AUTOMATIC)
        rows, cols = (n.astype(np.int32) for n in np.nonzero(changed))  # small: undo keeps them
        if rows.size:
            y, x = (part.start for part in slice_key)
            self.data_setitem((rows + y, cols + x), automatic[changed], refresh)
