"""Who holds a lock: written beside it, for the message to the second who wants it.

Only the system's lock decides. What stands here may be of a program that has ended or was
killed, and then blocks nobody.
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from napari_fddm.core.errors import FddmError
from napari_fddm.core.outside.json_files import read_json
from napari_fddm.core.outside.text import visible_line

if TYPE_CHECKING:
    from pathlib import Path

_MOST = 1 << 12


def note_holder(lock_path: Path) -> None:
    """Write beside a lock that this process holds it, as far as the folder allows."""
    about = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with suppress(OSError):
        _file(lock_path).write_text(json.dumps(about), encoding="utf-8")


def describe_holder(lock_path: Path) -> str:
    """Return in words who noted last that it holds a lock; empty if that cannot be read."""
    place = _file(lock_path)
    try:
        if place.stat().st_size > _MOST:
            return ""
        about = read_json(place)
        since = datetime.fromisoformat(str(about["since"])).astimezone()
        return (
            f"process {int(about['pid'])} on {visible_line(str(about['host']))}, "
            f"since {since:%Y-%m-%d %H:%M:%S}"
        )
    except (FddmError, OSError, KeyError, TypeError, ValueError):
        return ""


def _file(lock_path: Path) -> Path:
    # Its name ends like that of a lock, so that no export takes it along.
    return lock_path.with_name(f"{lock_path.stem}.holder.lock")
