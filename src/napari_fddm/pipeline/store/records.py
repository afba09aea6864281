"""What a person entered beside strokes, on its way into an event log.

It is data and no call, so that it can be written elsewhere when the log cannot take it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def now() -> str:
    """Return the time as event logs write it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A record that is not yet in a log.

    Attributes
    ----------
    kind : str
        As in the event log, e.g. "tumor_bed".
    fields : mapping
        JSON values.
    made : str
        When the person made it, ISO 8601, UTC.
    """

    kind: str
    fields: Mapping[str, Any]
    made: str = field(default_factory=now)
