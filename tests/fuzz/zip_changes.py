"""Changes of ZIP archives: of their records, of what they hold, of bytes."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

from tests.fuzz.bytes_changes import change_bytes

if TYPE_CHECKING:
    from random import Random

_END = b"PK\x05\x06"


def change_zip(data: bytes, rng: Random) -> tuple[bytes, str]:
    """Change an archive; return it and what was done, in words."""
    return rng.choice(
        (_bytes, _head, _head, _directory, _directory, _end, _entry, _entry, _rewritten)
    )(data, rng)


def _bytes(data: bytes, rng: Random) -> tuple[bytes, str]:
    changed = change_bytes(data, rng)
    return changed.data, changed.words


def _head(data: bytes, rng: Random) -> tuple[bytes, str]:
    entry = rng.choice(_infos(data))
    changed = change_bytes(data, rng, within=(entry.header_offset, entry.header_offset + 30))
    return changed.data, f"header of {entry.filename}: {changed.words}"


def _directory(data: bytes, rng: Random) -> tuple[bytes, str]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        start = archive.start_dir
    changed = change_bytes(data, rng, within=(start, data.rindex(_END)))
    return changed.data, f"directory: {changed.words}"


def _end(data: bytes, rng: Random) -> tuple[bytes, str]:
    changed = change_bytes(data, rng, within=(data.rindex(_END), len(data)))
    return changed.data, f"end record: {changed.words}"


def _entry(data: bytes, rng: Random) -> tuple[bytes, str]:
    """Change what one entry holds, with a checksum that fits."""
    entry = rng.choice(_infos(data))
    words = ""

    def altered(content: bytes) -> bytes:
        nonlocal words
        changed = change_bytes(content, rng)
        words = changed.words
        return changed.data

    out = _written(data, {entry.filename: altered})
    return out, f"{entry.filename}, packed anew: {words}"


def _rewritten(data: bytes, rng: Random) -> tuple[bytes, str]:
    entry = rng.choice(_infos(data))
    name = entry.filename
    ways = {
        "left out": lambda: _written(data, leave_out=name),
        "there twice": lambda: _written(data, more={name: b"{}"}),
        "and one above it": lambda: _written(data, more={"../outside.txt": b"x"}),
        "and one from the root": lambda: _written(data, more={"/outside.txt": b"x"}),
        "and a large one of zeros": lambda: _written(
            data, more={"zeros": bytes(50_000_000)}, method=zipfile.ZIP_DEFLATED
        ),
        "packed by bzip2": lambda: _written(data, method=zipfile.ZIP_BZIP2),
        "packed by lzma": lambda: _written(data, method=zipfile.ZIP_LZMA),
        "packed by deflate": lambda: _written(data, method=zipfile.ZIP_DEFLATED),
        "and a comment": lambda: _written(data, comment=b"x" * 60_000),
        "an empty archive": lambda: _written(b"", leave_out=name),
    }
    words = rng.choice(sorted(ways))
    return ways[words](), f"{name}: {words}"


def _infos(data: bytes) -> list[zipfile.ZipInfo]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.infolist()


def _written(
    data: bytes,
    changes: dict[str, object] | None = None,
    *,
    more: dict[str, bytes] | None = None,
    leave_out: str = "",
    method: int = zipfile.ZIP_STORED,
    comment: bytes = b"",
) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as target:
        if data:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                for entry in archive.infolist():
                    if entry.filename == leave_out:
                        continue
                    content = archive.read(entry)
                    change = (changes or {}).get(entry.filename)
                    target.writestr(entry.filename, change(content) if change else content)  # type: ignore[operator]
        for name, content in (more or {}).items():
            target.writestr(name, content)
        target.comment = comment
    return out.getvalue()
