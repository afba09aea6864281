"""A reader's own estimate of the necrosis rate, kept as a record of the event log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fddm.core.errors import ConfigError
from napari_fddm.pipeline.store.records import LogRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_fddm.pipeline.store.analysis_store import AnalysisStore

KIND = "estimate"


def estimate_record(
    rate: float,
    *,
    definition: str,
    rate_seen: bool = False,
    layer: str = "corrected",
    reader: str = "",
) -> LogRecord:
    """Return the record of what a reader estimates.

    Parameters
    ----------
    rate : float
        In [0, 1].
    definition : str
        The necrosis definition that was displayed.
    rate_seen : bool
        Whether the computed rate of this analysis had been on the screen before.
    layer, reader : str
        Whose label map it belongs to.

    Raises
    ------
    ConfigError
        If the rate is out of range.
    """
    if not 0.0 <= rate <= 1.0:
        raise ConfigError(f"an estimate must be 0 to 100 %, got {100 * rate:g} %.")
    fields = {"layer": layer, "reader": reader, "definition": definition, "rate": rate}
    return LogRecord(KIND, {**fields, "rate_seen": rate_seen})


def saw_the_rate(store: AnalysisStore, *, layer: str = "corrected") -> bool | None:
    """Return whether the first estimate was made with the computed rate on the screen.

    None if there is no estimate.
    """
    record = _first(store, layer)
    return None if record is None else bool(record.get("rate_seen", False))


def read_estimate(store: AnalysisStore, *, layer: str = "corrected") -> float | None:
    """Return the first estimate that was logged, in [0, 1]; None if there is none.

    Only the first is unbiased: for later ones the computed rate may have been on the screen.

    Raises
    ------
    StoreError
        If the log is damaged.
    """
    record = _first(store, layer)
    return None if record is None else float(record["rate"])


def _first(store: AnalysisStore, layer: str) -> Mapping[str, Any] | None:
    return next(store.records.of(KIND, layer), None)
