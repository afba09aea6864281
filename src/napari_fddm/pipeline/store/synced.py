"""``synced.json``: what the corrected maps were derived from, and the log as it was then.

The event log may be ahead of it, for it is written when maps are derived and when an editor
closes. A log that is behind it, or has another record in that place, lost corrections.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_fddm.core.errors import StoreError
from napari_fddm.core.outside import checked_json, json_files
from napari_fddm.pipeline.store.layout import SYNCED
from napari_fddm.pipeline.store.log_lines import LogEnd, mismatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    Basis = dict[str, Any]

_LOGGER = logging.getLogger(__name__)
_MAPS, _LOG = "maps", "log"


@dataclass(frozen=True, slots=True)
class Synced:
    """The content of the file.

    Attributes
    ----------
    maps : dict
        By label map: "seq", the number of the last edit that it shows, and "automatic", the
        revision of the model's labels below.
    seq : int
        Number of the newest log record at that time, of any kind.
    chain : str
        Checksum of that record (`log_lines.LogEnd`); empty in files of earlier versions, which
        know the edits only.
    """

    maps: dict[str, Basis] = field(default_factory=dict)
    seq: int = 0
    chain: str = ""


def read_synced(ours: Path) -> Synced | None:
    """Read the file in the folder ``fddm``; None if there is none, or it is damaged.

    Without it, maps are derived again, and a lost record shows only in the stored map.
    """
    path = ours / SYNCED
    if not os.path.lexists(path):
        return None
    try:
        return _of_json(json_files.read_json(path), path)
    except StoreError as error:
        _LOGGER.warning("%s The maps are derived again from the log.", error.message)
        return None


def write_synced(ours: Path, synced: Synced) -> None:
    """Replace the file in the folder ``fddm``.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    log = {"seq": synced.seq, "chain": synced.chain}
    checked_json.write_checked(ours / SYNCED, {_MAPS: synced.maps, _LOG: log})


def watched(
    lines: Iterable[tuple[dict[str, Any], LogEnd]], synced: Synced | None, path: Path
) -> Iterator[tuple[dict[str, Any], LogEnd]]:
    """Pass the lines of a log on; refuse a log that is not the one that maps were made from.

    Parameters
    ----------
    lines : iterable of (record, LogEnd)
        See `log_lines.iter_lines`.
    synced : Synced or None
        What `read_synced` gave before the log was opened: it may grow meanwhile.
    path : Path
        The log, for messages.

    Raises
    ------
    LogMismatchError
        If a record is missing or another one.
    """
    seen = synced if synced is not None else Synced()
    edits = {} if seen.chain else {basis["seq"]: layer for layer, basis in seen.maps.items()}
    last = 0
    for record, end in lines:
        last = end.seq
        altered = last == seen.seq and seen.chain not in ("", end.chain)
        layer = edits.get(last)
        if altered or (layer and (record["kind"] != "edit" or record.get("layer") != layer)):
            what = "the record is not the one that the stored map was made from"
            raise mismatch(path, what, last)
        yield record, end
    if last < seen.seq:
        # Not `last`: a lost log would be called a shortened one.
        if not os.path.lexists(path):
            raise mismatch(path, f"it is missing, and so are its {seen.seq} records")
        raise mismatch(
            path,
            f"it ends after record {last}, but record {seen.seq} was there when the stored map "
            "was made",
        )


def _of_json(values: dict[str, Any], path: Path) -> Synced:
    plain = _MAPS in values or checked_json.CHECKSUM in values
    rest = checked_json.verified(values, path, required=plain)
    if not plain:  # written by an earlier version
        earlier = _maps(rest, path)
        return Synced(earlier, max((basis["seq"] for basis in earlier.values()), default=0))
    log = json_files.field(rest, _LOG, dict, path)
    return Synced(
        _maps(json_files.field(rest, _MAPS, dict, path), path),
        json_files.field(log, "seq", int, path),
        json_files.field(log, "chain", str, path),
    )


def _maps(values: dict[str, Any], path: Path) -> dict[str, Basis]:
    for basis in values.values():
        json_files.as_object(basis, path)
        json_files.field(basis, "automatic", str, path)
        json_files.field(basis, "seq", int, path)
    return values
