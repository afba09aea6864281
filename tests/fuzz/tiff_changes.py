"""Changes of a TIFF file that know its fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz.bytes_changes import change_bytes
from tests.fuzz.cases import Mutation
from tests.fuzz.tiff_fields import NAMES, OFFSETS, PLACES, SIZES, Entry, TiffFields

if TYPE_CHECKING:
    from random import Random

_MARKS = (0, 1, 2, 3, 255, 256, 65535, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 40)


def change_tiff(data: bytes, rng: Random) -> tuple[bytes, Mutation]:
    """Change a TIFF file: a field of a directory, where pixels lie, a link, or bytes."""
    ways = (_field, _field, _type, _count, _count, _place, _place, _place, _place, _place, _link,
            _entries, _text, _bytes, _bytes, _cut, _cut)  # fmt: skip
    return rng.choice(ways)(data, TiffFields(data), rng)


def _any(fields: TiffFields, rng: Random, codes: tuple[int, ...] = ()) -> Entry:
    entries = [e for d in fields.directories for e in d.entries if not codes or e.code in codes]
    return rng.choice(entries)


def _field(data: bytes, fields: TiffFields, rng: Random) -> tuple[bytes, Mutation]:
    """Give a tag another value; it could be meant."""
    entry, out = _any(fields, rng), bytearray(data)
    at = entry.values_at + rng.randrange(min(entry.count, 4)) * entry.size
    size = min(entry.size, 4)
    before = fields.number(data, at, size) if at + size <= len(data) else 0
    value = rng.choice((*_MARKS, before + 1, max(before - 1, 0), before * 2, len(data)))
    fields.put(out, at, size, value)
    # Only offsets that cannot be, and counts that do not fit, can be seen.
    return bytes(out), Mutation(f"{entry.name} {before} set to {value}", judged=False)


def _type(data: bytes, fields: TiffFields, rng: Random) -> tuple[bytes, Mutation]:
    entry, out = _any(fields, rng), bytearray(data)
    kind = rng.choice((*SIZES, 0, 14, 999))
    fields.put(out, entry.at + 2, 2, kind)
    return bytes(out), Mutation(f"type of {entry.name} set to {kind}", judged=False)


def _count(data: bytes, fields: TiffFields, rng: Random) -> tuple[bytes, Mutation]:
    entry, out = _any(fields, rng), bytearray(data)
    count = rng.choice((0, 1, entry.count + 1, max(entry.count - 1, 0), 1000, 10**9, 1 << 31,
                        (1 << 32) - 1))  # fmt: skip
    fields.put(out, entry.at + 4, fields.word, count)
    judged = entry.code in PLACES and count != entry.count
    return bytes(out), Mutation(f"count of {entry.name} {entry.count} set to {count}", judged)


def _place(data: bytes, fields: TiffFields, rng: Random) -> tuple[bytes, Mutation]:
    """Change where one tile or strip lies, or how long it is."""
    entry, out = _any(fields, rng, PLACES), bytearray(data)
    index = rng.randrange(entry.count)
    at, values = entry.values_at + index * entry.size, fields.values(data, entry)
    before = values[index]
    if entry.code in OFFSETS:
        value = rng.choice((0, 1, len(data), len(data) - 1, len(data) * 2, before + 1, before - 1,
                            (1 << 31) + 1, (1 << 32) - 1, rng.choice(values)))  # fmt: skip
    else:
        value = rng.choice((0, 1, before // 2, before - 1, before + 1, before * 4, 1 << 30,
                            (1 << 32) - 1, rng.choice(values)))  # fmt: skip
    fields.put(out, at, entry.size, value)
    # Writers store equal tiles once, so another tile's place may be meant.
    judged = value not in values and not _unseen(data, fields, entry, before, value)
    return bytes(out), Mutation(f"{entry.name}[{index}] {before} set to {value}", judged)


def _unseen(data: bytes, fields: TiffFields, entry: Entry, before: int, value: int) -> bool:
    """Whether pixels that are not packed now begin a byte off, and nothing else lies there."""
    directory = next(d for d in fields.directories if entry in d.entries)
    plain = any(e.code == 259 and fields.values(data, e) == [1] for e in directory.entries)
    if not plain or entry.code not in OFFSETS or abs(value - before) != 1:
        return False
    ranges = fields.pixels(data)
    end = max(end for start, end in ranges if start == before)
    edge = before - 1 if value < before else end
    others = [(start, end) for start, end in ranges if start != before]
    return edge < len(data) and not any(start <= edge < end for start, end in others)


def _link(data: bytes, fields: TiffFields, rng: Random) -> tuple[bytes, Mutation]:
    directory, out = rng.choice(fields.directories), bytearray(data)
    target = rng.choice((0, 8, 1, directory.at, fields.directories[0].at, len(data), len(data) - 2,
                         (1 << 32) - 1, rng.randrange(len(data))))  # fmt: skip
    fields.put(out, directory.next_at, fields.word, target)
    return bytes(out), Mutation(f"next directory of that at {directory.at}: {target}", judged=False)


def _entries(data: bytes, fields: TiffFields, rng: Random) -> tuple[bytes, Mutation]:
    """Change how many entries a directory has, or which tag one of them is."""
    directory, out = rng.choice(fields.directories), bytearray(data)
    if rng.random() < 0.5:
        entry = rng.choice(directory.entries)
        code = rng.choice((*NAMES, 0, 65535, 34712, 65420, 50838))
        fields.put(out, entry.at, 2, code)
        return bytes(out), Mutation(f"{entry.name} named {NAMES.get(code, code)}", judged=False)
    count = rng.choice((0, 1, len(directory.entries) - 1, len(directory.entries) + 1, 4096, 65535))
    fields.put(out, directory.at, 8 if fields.big else 2, count)
    return bytes(out), Mutation(f"directory at {directory.at} says {count} entries", judged=False)


def _text(data: bytes, fields: TiffFields, rng: Random) -> tuple[bytes, Mutation]:
    """Change bytes of a text: a description, the program's name."""
    texts = [e for d in fields.directories for e in d.entries if e.kind == 2 and e.count > 4]
    if not texts:
        return _field(data, fields, rng)
    entry = rng.choice(texts)
    start = entry.values_at + rng.randrange(entry.count)
    new = rng.choice((b"\0", b"\xff\xfe", b"<", b"]]>", b"&x;", b"\x1b[2J", b"9" * 20, b"\n" * 40))
    new = new[: entry.values_at + entry.count - start]
    out = data[:start] + new + data[start + len(new) :]
    return out, Mutation(f"{new!r} written into {entry.name} at {start}", judged=False)


def _bytes(data: bytes, fields: TiffFields, rng: Random) -> tuple[bytes, Mutation]:
    """Change any bytes; half of the changes begin outside the pixels."""
    within = None
    if rng.random() < 0.5:
        directory = rng.choice(fields.directories)
        within = (directory.at, directory.next_at + fields.word)
    changed = change_bytes(data, rng, within=within)
    return changed.data, Mutation(changed.words, judged=False)


def _cut(data: bytes, fields: TiffFields, rng: Random) -> tuple[bytes, Mutation]:
    at = rng.randrange(len(data))
    return data[:at], Mutation(f"cut off at byte {at} of {len(data)}", judged=True)
