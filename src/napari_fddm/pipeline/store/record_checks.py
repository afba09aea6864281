"""What records of the event log must hold: each kind is checked in one place, on reading.

Kinds that are not known here were written by other versions: only what all records have in
common is checked. What an edit holds is checked when it is unpacked (`core.edits`).
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

from napari_fddm.core.errors import StoreError
from napari_fddm.core.outside.json_files import field, kind_of
from napari_fddm.core.outside.text import visible_line

if TYPE_CHECKING:
    from collections.abc import Callable

PLACE = "the record"


def check_record(record: dict[str, Any]) -> None:
    """Check a record that was read: it has a time and a kind, and the fields of its kind.

    Raises
    ------
    StoreError
        If it is damaged; the message names the field.
    """
    kind = field(record, "kind", str, PLACE)
    _check_time(field(record, "time", str, PLACE))
    for key in ("reader", "layer"):
        if key in record:
            field(record, key, str, PLACE)
    _CHECKS.get(kind, _check_nothing)(record)


def _check_time(text: str) -> None:
    try:
        datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError) as error:
        shown = visible_line(text[:40])
        raise StoreError(f"{PLACE} is damaged: its time {shown!r} is none.") from error


def _check_edit(record: dict[str, Any]) -> None:
    field(record, "layer", str, PLACE)
    field(record, "edit", dict, PLACE)


def _check_sign_off(record: dict[str, Any]) -> None:
    for key in ("reader", "definition", "labels_sha256"):
        field(record, key, str, PLACE)
    for rate in field(record, "rates", dict, PLACE).values():
        _check_share(rate, "rates", or_none=True)
    if "coverage" not in record:
        raise StoreError(f"{PLACE} is damaged: 'coverage' is missing.")
    _check_share(record["coverage"], "coverage", or_none=True)


def _check_reader(record: dict[str, Any]) -> None:
    field(record, "reader", str, PLACE)


def _check_begun_from_map(record: dict[str, Any]) -> None:
    _check_reader(record)
    field(record, "maps", dict, PLACE)


def _check_estimate(record: dict[str, Any]) -> None:
    field(record, "layer", str, PLACE)
    _check_share(record.get("rate"), "rate")
    if "rate_seen" in record:
        field(record, "rate_seen", bool, PLACE)


def _check_tumor_bed(record: dict[str, Any]) -> None:
    field(record, "layer", str, PLACE)
    for polygon in field(record, "polygons", list, PLACE):
        corners = polygon if isinstance(polygon, list) else [None]
        if not all(_is_corner(corner) for corner in corners):
            raise StoreError(f"{PLACE} is damaged: a corner of an outline is no (y, x).")


def _is_corner(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_is_finite(n) for n in value)


def _is_finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False


def _check_share(value: Any, key: str, *, or_none: bool = False) -> None:
    if value is None and or_none:
        return
    if not _is_finite(value) or not 0.0 <= value <= 1.0:
        shown = value if _is_finite(value) else kind_of(value)
        raise StoreError(f"{PLACE} is damaged: {key!r} is {shown}, not in 0 to 1.")


def _check_nothing(_record: dict[str, Any]) -> None:
    pass


_CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "edit": _check_edit,
    "confirmed": _check_edit,
    "sign_off": _check_sign_off,
    "unlock": _check_reader,
    "estimate": _check_estimate,
    "tumor_bed": _check_tumor_bed,
    "begun_from_map": _check_begun_from_map,
    "corrections_given_up": _check_reader,
}
