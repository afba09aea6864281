"""How a corrected label map follows from the automatic labels and the edits in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.pipeline.store.log_lines import mismatch

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.pipeline.store.eventlog import EventLog

    Labels = npt.NDArray[np.uint8]


def replay(log: EventLog, layer: str, automatic: Labels, classes: int) -> Labels:
    """Return the automatic labels with every logged edit applied, shape (H, W).

    Parameters
    ----------
    log : EventLog
        The log.
    layer : str
        Whose map.
    automatic : array of uint8, shape (H, W)
        The model's labels.
    classes : int
        Number of classes; an edit with a higher value is damage.

    Raises
    ------
    StoreError
        If the log is damaged, or an edit does not fit the map.
    """
    labels = automatic.copy()
    for edit in log.edits(layer, automatic.shape):
        if int(edit.after.max()) > classes:
            raise mismatch(
                log.path, f"an edit has the label {int(edit.after.max())} of {classes} classes"
            )
        edit.apply(labels, automatic)
    return labels


def passes_through(stored: Labels, log: EventLog, layer: str, automatic: Labels) -> bool:
    """Return whether a stored map is what the log gave at some time, or never was written.

    Parameters
    ----------
    stored : array of uint8, shape (H, W)
        A corrected map.
    log, layer, automatic
        As for `replay`.
    """
    if not stored.any():
        return True
    labels = automatic.copy()
    differing = int(np.count_nonzero(labels != stored))
    if not differing:
        return True
    for edit in log.edits(layer, automatic.shape):
        part = edit.window.slices
        differing -= int(np.count_nonzero(labels[part] != stored[part]))
        edit.apply(labels, automatic)
        differing += int(np.count_nonzero(labels[part] != stored[part]))
        if not differing:
            return True
    return False
