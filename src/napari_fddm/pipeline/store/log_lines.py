"""Lines of the event log: one JSON object each, chained by checksum.

The last field of a line, ``chain``, is a checksum of the ``chain`` before it and of the line
without that field. So a line that is altered, lost or moved is found, whatever it says. A log
of an earlier version has no checksums: its lines are taken as they are, and the first line
that is appended takes the checksum of all bytes before it, which it seals with that.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_fddm.core.errors import StoreError
from napari_fddm.core.outside.files import open_file
from napari_fddm.core.outside.json_files import as_object, parse_json
from napari_fddm.core.outside.text import visible
from napari_fddm.pipeline.store.record_checks import check_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHAIN, FORMAT = "chain", "log_version"
"""Fields that the log sets: the checksum, and in the first line with one the format's version."""
VERSION = 2
"""Of the format; the first had no checksums and no version."""
MOST_LINE = 1 << 27
"""Bytes. Strokes take kilobytes, an edit of a whole label map some megabytes."""

_LOGGER = logging.getLogger(__name__)
_DIGITS = 32
_FIELD = re.compile(rb',"chain":"([0-9a-f]{32})"\}\n')
_FIELD_LENGTH = len(b',"chain":""}\n') + _DIGITS


class LogMismatchError(StoreError):
    """The event log is missing, shortened, altered or damaged; a person has to decide.

    Parameters
    ----------
    message, hint : str
        As of every error.
    log : Path
        The log.
    """

    def __init__(self, message: str, *, log: Path, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.log = log

    @property
    def store(self) -> Path:
        """The store of the log."""
        return self.log.parent.parent

    def __reduce__(self) -> tuple[object, ...]:
        """Keep everything when the error crosses a process border."""
        return _rebuild, (self.message, self.hint, self.log)


def _rebuild(message: str, hint: str, log: Path) -> LogMismatchError:
    return LogMismatchError(message, log=log, hint=hint)


def mismatch(path: Path, what: str, line: int = 0) -> LogMismatchError:
    """Return the error about an event log, with the ways out of it.

    Parameters
    ----------
    path : Path
        The log.
    what : str
        What is wrong with it, as the end of a sentence, e.g. "it is missing".
    line : int
        The line, counted from 1; 0 for the whole log.
    """
    place = f"{visible(path)}, line {line}" if line else visible(path)
    store = visible(path.parent.parent)
    return LogMismatchError(
        f"{place}: the event log, which holds the corrections, cannot be used: {what}.",
        log=path,
        hint="Nothing was changed. Put the log back from a backup. Or choose what to go on with: "
        f"`napari-fddm repair {store} --from-map --reader NAME` begins a new log from the stored "
        "map, --without-corrections gives the corrections up; both keep the old files.",
    )


@dataclass(frozen=True, slots=True)
class LogEnd:
    """Where a log ends, or would end after one of its lines.

    Attributes
    ----------
    seq : int
        Number of the last record; 0 if there is none.
    chain : str
        Its checksum; of a line without one, that of all bytes up to its end.
    size : int
        Bytes up to the end of its line.
    chained : bool
        Whether the line has a checksum.
    """

    seq: int = 0
    chain: str = hashlib.sha256().hexdigest()[:_DIGITS]
    size: int = 0
    chained: bool = False

    def extended(self, record: dict[str, Any]) -> tuple[bytes, LogEnd]:
        """Return the line of a further record, and where the log ends after it.

        Parameters
        ----------
        record : dict
            JSON values, without the fields `CHAIN` and `FORMAT`; its "seq" is set here.

        Raises
        ------
        StoreError
            If it has no JSON form or is too large.
        """
        record["seq"] = self.seq + 1
        body = _json(record if self.chained else {**record, FORMAT: VERSION})
        if len(body) + _FIELD_LENGTH > MOST_LINE:
            raise StoreError(f"an event of kind {record['kind']!r} is too large to be logged.")
        chain = _chain(self.chain, body)
        line = body[:-2] + f',"{CHAIN}":"{chain}"}}\n'.encode()
        return line, LogEnd(self.seq + 1, chain, self.size + len(line), chained=True)


def iter_lines(path: Path) -> Iterator[tuple[dict[str, Any], LogEnd]]:
    """Iterate over the whole lines of a log: the record, and where the log ends after it.

    Records come without the fields `CHAIN` and `FORMAT`. An unfinished last line, of a record
    that was never confirmed, is skipped.

    Raises
    ------
    LogMismatchError
        If a line is damaged or not the one that was written; it names the line.
    StoreError
        If the log cannot be read, or was written by a newer version.
    """
    if not os.path.lexists(path):
        return
    end, whole = LogEnd(), hashlib.sha256()
    with open_file(path, "an event log", error=StoreError) as file:
        line = file.readline(MOST_LINE)
        while line:
            following = file.readline(MOST_LINE)
            if not following and _is_torn(line):
                _LOGGER.warning("%s: skipped an unfinished last line", path)
                return
            try:
                record, chain = _parsed(line, end)
                check_record(record)
            except LogMismatchError:
                raise
            except StoreError as fault:
                raise mismatch(path, fault.message.rstrip("."), end.seq + 1) from fault
            whole.update(line)
            end = LogEnd(
                end.seq + 1,
                chain or whole.hexdigest()[:_DIGITS],
                end.size + len(line),
                chained=bool(chain),
            )
            _check_version(record.pop(FORMAT, None), path)
            yield record, end
            line = following


def _is_torn(line: bytes) -> bool:
    # After a power cut, blocks of a file may be zeros while later ones are on the disk.
    return not line.endswith(b"\n") or b"\0" in line


def _parsed(line: bytes, end: LogEnd) -> tuple[dict[str, Any], str]:
    """Return the record of the line after an end, and its checksum, empty if it has none.

    Raises
    ------
    StoreError
        If it is damaged or does not follow that end; the message is the end of a sentence.
    """
    if not line.endswith(b"\n"):
        fault = "is too long" if len(line) >= MOST_LINE else "is unfinished"
        raise StoreError(f"the line {fault}")
    record = as_object(parse_json(line, "the line"), "the line")
    chain = record.pop(CHAIN, None)
    if chain is None and end.chained:
        raise StoreError(
            "the record has no checksum although those before have one; it was altered, or "
            "written by an older napari-fddm"
        )
    if chain is not None:
        field = _FIELD.fullmatch(line[-_FIELD_LENGTH:])
        body = line[:-_FIELD_LENGTH] + b"}\n"
        if field is None or field[1].decode() != _chain(end.chain, body):
            raise StoreError("the record differs from its checksum, or does not follow the last")
        if not end.chained and FORMAT not in record:
            raise StoreError("the log does not say the version of its format")
    if type(record.get("seq")) is not int or record["seq"] != end.seq + 1:
        raise StoreError(f"record {end.seq + 1} is missing")
    return record, chain or ""


def _check_version(version: Any, path: Path) -> None:
    if version is not None and (type(version) is not int or version > VERSION):
        raise StoreError(
            f"{visible(path)} was written by a newer napari-fddm.", hint="Update napari-fddm."
        )


def _chain(before: str, body: bytes) -> str:
    return hashlib.sha256(before.encode() + body).hexdigest()[:_DIGITS]


def _json(record: dict[str, Any]) -> bytes:
    try:
        text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return f"{text}\n".encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(
            f"an event of kind {record['kind']!r} has no JSON form: {error}.",
            hint="Give plain numbers, text, lists and mappings.",
        ) from error
