"""Edits of a label map: what a stroke changed, its record for the event log, live class counts.

An `Edit` holds only the cells that changed, so a brush stroke of some thousand
cells costs some kilobytes whatever the size of the map. `ShadowCounter` finds
those cells by comparing a window with its shadow copy, because napari does not
say reliably what it wrote (``docs/architecture.md#editing-and-the-live-rate``); the
class counts of the live necrosis rate follow from the same difference, without a recount.
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.cells import ChangedCells, changed_window
from napari_fddm.core.errors import ConfigError, StoreError
from napari_fddm.core.geometry import Window, bounding
from napari_fddm.core.necrosis import count_labels
from napari_fddm.core.outside.guard import reading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    Labels = npt.NDArray[np.uint8]

_RESTORE = "Restore the event log from a backup."


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """One change of a label map.

    Attributes
    ----------
    tool : str
        What made it: "paint", "fill", "undo", "restore" …
    cells : ChangedCells
        Which cells changed; its window is the smallest that holds them.
    before, after : array of uint8, shape (changed cells,)
        Values, row by row.
    follows : array of bool, shape (changed cells,), or None
        Cells that were restored to the model's label; None: none of them. When the model's
        labels change later, these cells change with them: a stroke that is undone over cells
        not analyzed yet must not leave them excluded.
    """

    tool: str
    cells: ChangedCells
    before: Labels
    after: Labels
    follows: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        """Refuse values that do not fit the cells."""
        sizes_fit = self.before.shape == self.after.shape == (self.cells.count,)
        if not sizes_fit or not self.before.dtype == self.after.dtype == np.uint8:
            raise ConfigError(
                f"an edit by {self.tool!r} is inconsistent: "
                "it does not hold one old and one new value per cell, in uint8."
            )
        if self.follows is not None and self.follows.shape != self.after.shape:
            raise ConfigError(
                f"an edit by {self.tool!r} must say of each cell whether it follows the model."
            )
        for array in (self.before, self.after, self.follows):
            if array is not None:
                array.flags.writeable = False

    def __eq__(self, other: object) -> bool:
        """Whether both change the same cells of equal maps in the same way."""
        if not isinstance(other, Edit):
            return NotImplemented
        one, two = self.cells, other.cells
        if (self.tool, one.shape, one.window) != (other.tool, two.shape, two.window):
            return False
        pairs = (
            (one.starts, two.starts),
            (one.lengths, two.lengths),
            (self.before, other.before),
            (self.after, other.after),
            (self.following_cells, other.following_cells),
        )
        return all(np.array_equal(a, b) for a, b in pairs)

    __hash__ = None  # type: ignore[assignment]

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the whole map."""
        return self.cells.shape

    @property
    def window(self) -> Window:
        """Smallest window that holds every changed cell."""
        return self.cells.window

    @property
    def changed_cells(self) -> int:
        """Number of cells that changed."""
        return self.cells.count

    @property
    def following_cells(self) -> npt.NDArray[np.bool_]:
        """Which changed cells follow the model, shape (changed cells,)."""
        if self.follows is None:
            return np.zeros(self.after.shape, np.bool_)
        return self.follows

    def following(self, automatic: Labels) -> Edit:
        """Return the edit with those cells marked as following whose new label is the model's.

        Parameters
        ----------
        automatic : array of uint8, shape (changed cells,)
            The model's label of each.
        """
        follows = self.after == automatic
        return replace(self, follows=follows if follows.any() else None)

    def update_held(self, held: npt.NDArray[np.bool_]) -> None:
        """Mark in a map, in place, which of the changed cells a person decided.

        Parameters
        ----------
        held : array of bool, shape (H, W)
            `LabelMap.held`: changed cells become True, or False if they follow the model.
        """
        held[self.window.slices][self.mask()] = ~self.following_cells

    def mask(self) -> npt.NDArray[np.bool_]:
        """Return which cells of the window changed, shape of the window; read-only."""
        return self.cells.mask()

    def inverted(self, tool: str = "undo") -> Edit:
        """Return the edit that undoes this one."""
        return Edit(tool, self.cells, self.after, self.before)

    def apply(self, labels: Labels, automatic: Labels | None = None) -> None:
        """Write the new values into a map, in place.

        Parameters
        ----------
        labels : array of uint8, shape (H, W)
            The map.
        automatic : array of uint8, shape (H, W), optional
            The model's current labels: cells that follow the model get these.

        Raises
        ------
        ConfigError
            If the map has another shape or type.
        """
        _check_map(labels, self.shape)
        values = self.after
        if self.follows is not None and automatic is not None:
            current = automatic[self.window.slices][self.mask()]
            values = np.where(self.follows, current, self.after)
        labels[self.window.slices][self.mask()] = values

    def to_record(self) -> dict[str, Any]:
        """Return plain JSON values; runs and values are compressed (zlib) and in base64."""
        record = {
            "tool": self.tool,
            "shape": list(self.shape),
            "window": [self.window.y, self.window.x, self.window.height, self.window.width],
            "cells": self.changed_cells,
            "starts": _pack(np.diff(self.cells.starts, prepend=0).astype("<i8")),
            "lengths": _pack(self.cells.lengths.astype("<i8")),
            "before": _pack(self.before),
            "after": _pack(self.after),
        }
        if self.follows is not None:
            record["follows"] = _pack(np.packbits(self.follows))
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any], shape: tuple[int, int] | None = None) -> Edit:
        """Read what `to_record` wrote; further keys are ignored.

        Nothing is unpacked beyond the size that the number of cells allows.

        Parameters
        ----------
        record : mapping
            Plain JSON values.
        shape : tuple of int, optional
            (rows, columns) of the map that it must belong to.

        Raises
        ------
        StoreError
            If the record is damaged or belongs to another map.
        """
        try:
            with reading("an edit", "the record", error=StoreError, hint=_RESTORE):
                return cls._of_record(record, shape)
        except ConfigError as error:
            raise StoreError(f"an edit is damaged: {error.message}", hint=_RESTORE) from error

    @classmethod
    def _of_record(cls, record: Mapping[str, Any], shape: tuple[int, int] | None) -> Edit:
        rows, cols = (_whole(n) for n in record["shape"])
        if shape is not None and (rows, cols) != shape:
            raise StoreError(
                f"an edit of {(rows, cols)} does not fit a map of {shape}.", hint=_RESTORE
            )
        window = Window(*(_whole(n) for n in record["window"]))
        count = _whole(record["cells"])
        if window != window.clipped((rows, cols)) or not 1 <= count <= window.height * window.width:
            raise ValueError(f"{count} cells in {window} are not possible in {(rows, cols)}")
        cells = ChangedCells.of_runs(
            np.cumsum(_unpack(record["starts"], "<i8", count), dtype=np.int64),
            _unpack(record["lengths"], "<i8", count).astype(np.int64),
            window,
            (rows, cols),
        )
        if cells.count != count:
            raise ValueError(f"it says {count} cells but holds {cells.count}")
        follows = None
        if "follows" in record:
            bits = np.unpackbits(_unpack(record["follows"], "u1", count), count=count)
            follows = bits.astype(np.bool_)
        before, after = (_unpack(record[key], "u1", count) for key in ("before", "after"))
        if not isinstance(record["tool"], str):
            raise TypeError("its tool is no text")
        return cls(record["tool"], cells, before, after, follows)


def difference(old: Labels, new: Labels, window: Window, tool: str = "paint") -> Edit | None:
    """Return what changed between two maps inside a window, None if nothing did.

    Parameters
    ----------
    old, new : array of uint8, shape (H, W)
        The map before and after.
    window : Window
        Where to look; may reach beyond the border.
    tool : str
        What made the change.
    """
    _check_map(new, (old.shape[0], old.shape[1]))
    window = window.clipped((old.shape[0], old.shape[1]))
    # Copied once, so that the steps that follow work on contiguous memory, in the cache.
    before, after = (np.ascontiguousarray(a[window.slices]) for a in (old, new))
    return edit_of_window(before, after, window, (old.shape[0], old.shape[1]), tool)


def edit_of_window(
    before: Labels, after: Labels, window: Window, shape: tuple[int, int], tool: str = "paint"
) -> Edit | None:
    """Return the change of one window of a map, None if nothing changed.

    Parameters
    ----------
    before, after : array of uint8, shape of the window
        Values in the window.
    window : Window
        Where the window lies, inside the map.
    shape : tuple of int
        (rows, columns) of the whole map.
    tool : str
        What made the change.
    """
    changed = before != after
    inner = Window.of_mask(changed)
    if inner.is_empty:
        return None
    changed = np.ascontiguousarray(changed[inner.slices])
    tight = Window(window.y + inner.y, window.x + inner.x, inner.height, inner.width)
    old, new = before[inner.slices][changed], after[inner.slices][changed]
    return Edit(tool, ChangedCells.of_mask(changed, tight, shape), old, new)


def combined(edits: Sequence[Edit]) -> Edit | None:
    """Return one edit with the effect of several in a row; None if there are none.

    It has the tool of the last one. Edits that wait for the disk are written so, together.
    """
    whole = bounding([edit.window for edit in edits])
    if whole is None:
        return None
    before = np.zeros((whole.height, whole.width), np.uint8)
    after, touched = np.zeros_like(before), np.zeros(before.shape, np.bool_)
    follows = np.zeros_like(touched)
    for edit in edits:
        part = edit.window.relative_to(whole).slices
        changed = edit.mask()
        first = ~touched[part][changed]  # cells that no earlier edit changed
        before[part][changed] = np.where(first, edit.before, before[part][changed])
        after[part][changed] = edit.after
        follows[part][changed] = edit.following_cells
        touched[part] |= changed
    # Cells whose value is the old one again stay in: a person may have decided it now.
    kept = follows[touched]
    return Edit(
        edits[-1].tool,
        ChangedCells.of_mask(touched, whole, edits[-1].shape),
        before[touched],
        after[touched],
        kept if kept.any() else None,
    )


class ShadowCounter:
    """Class counts of a label map that other code changes in place.

    Parameters
    ----------
    labels : array of uint8, shape (H, W)
        The map; a copy is kept.
    n_classes : int
        Number of classes; values go from 0 to this.
    """

    def __init__(self, labels: Labels, n_classes: int) -> None:
        _check_map(labels, (labels.shape[0], labels.shape[-1]))
        self._n_classes = n_classes
        self._counts = count_labels(labels, n_classes)
        self._shadow = labels.copy()

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Cells by label value, shape (n_classes + 1,); a copy."""
        return self._counts.copy()

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the map."""
        return (self._shadow.shape[0], self._shadow.shape[1])

    def update(self, labels: Labels, window: Window, tool: str = "paint") -> Edit | None:
        """Find what changed inside a window, and update the counts.

        Parameters
        ----------
        labels : array of uint8, shape (H, W)
            The map as it is now.
        window : Window
            Where something may have changed; may reach beyond the border.
        tool : str
            What made the change.

        Returns
        -------
        Edit or None
            None if nothing changed.

        Raises
        ------
        ConfigError
            If the map has another shape or a value is not a class; shadow and
            counts then stay as they were.
        """
        edit = difference(self._shadow, labels, window, tool)
        if edit is None:
            return None
        gained = count_labels(edit.after, self._n_classes)
        self._counts += gained - count_labels(edit.before, self._n_classes)
        part = edit.window.slices
        self._shadow[part] = labels[part]
        return edit

    def update_all(self, labels: Labels, tool: str = "paint") -> Edit | None:
        """Find every change of the map, as `update` does for a window."""
        _check_map(labels, self.shape)
        window = changed_window(self._shadow, labels)
        return None if window.is_empty else self.update(labels, window, tool)


def _check_map(labels: Labels, shape: tuple[int, int]) -> None:
    if labels.ndim != 2 or labels.shape != shape or labels.dtype != np.uint8:
        raise ConfigError(
            f"expected a label map of {shape} in uint8, got {labels.shape} in {labels.dtype}."
        )


def _pack(values: npt.NDArray[Any]) -> str:
    return base64.b64encode(zlib.compress(values.tobytes(), 6)).decode("ascii")


def _unpack(text: str, dtype: str, most: int) -> npt.NDArray[Any]:
    """Return what `_pack` packed, up to a number of values."""
    size = most * np.dtype(dtype).itemsize
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(base64.b64decode(text, validate=True), size + 1)
    if len(data) > size or not unpacker.eof or unpacker.unused_data:
        raise ValueError("its cells are not as many as it says")
    return np.frombuffer(data, dtype)


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} is no whole number")
    return value
