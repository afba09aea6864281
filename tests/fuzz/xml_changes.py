"""Changes of XML text: of attributes, of elements, of what parsers dislike."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.fuzz.bytes_changes import change_bytes
from tests.fuzz.cases import Mutation

if TYPE_CHECKING:
    from random import Random

_ATTRIBUTE = re.compile(r'([A-Za-z:]+)="([^"]*)"')
_ELEMENT = re.compile(r"<([A-Za-z]+)[^<>]*/>|<([A-Za-z]+)[^<>]*>")
TOLD_TWICE = ("SizeX", "SizeY", "SizeC", "IFD", "FileName")
"""Attributes that the file itself contradicts if they are wrong."""
UNITS = ("nm", "mm", "furlong", "Mm", "pixel", "", "\u00b5m", "&#181;m", "inch")


def change_xml(text: str, rng: Random) -> tuple[str, Mutation]:
    """Change an XML document."""
    return rng.choice((_value, _value, _value, _value, _name, _element, _whole, _bytes))(text, rng)


def _value(text: str, rng: Random) -> tuple[str, Mutation]:
    found = rng.choice(list(_ATTRIBUTE.finditer(text)))
    name, value = found[1], found[2]
    wrong = ["", "-1", "0", "x" * 100_000, "1e400", "nan", "&lt;&gt;", "&unknown;", "<", "1,5",
             "99999999999999999999", "\u0661", "\u202e", "true"]  # fmt: skip
    if name.endswith("Unit"):
        wrong = list(UNITS)
    elif value.replace(".", "").isdigit():
        wrong += [str(int(float(value)) + 1), f"{float(value) * 2:g}", "7"]
    new = rng.choice(wrong)
    judged = name in TOLD_TWICE or (name.endswith("Unit") and new in ("furlong", "pixel", ""))
    out = f'{text[: found.start()]}{name}="{new}"{text[found.end() :]}'
    return out, Mutation(f"{name} {value[:40]!r} set to {new[:40]!r}", judged)


def _name(text: str, rng: Random) -> tuple[str, Mutation]:
    found = rng.choice(list(_ATTRIBUTE.finditer(text)))
    name = rng.choice(("", f"{found[1]}X", found[1].lower(), "ID"))
    new = f'{name}="{found[2]}"' if name else ""
    words = f"{found[1]} {'named ' + name if name else 'deleted'}"
    return text[: found.start()] + new + text[found.end() :], Mutation(words, judged=False)


def _element(text: str, rng: Random) -> tuple[str, Mutation]:
    found = rng.choice(list(_ELEMENT.finditer(text)))
    name = found[1] or found[2]
    if found[1] and rng.random() < 0.7:
        new = rng.choice(("", found[0] * 2, found[0] * 20_000))
        words = f"<{name}> {'deleted' if not new else 'repeated'}"
    else:
        new, words = found[0].replace(name, f"{name}X", 1), f"<{name}> named {name}X"
    return text[: found.start()] + new + text[found.end() :], Mutation(words, judged=False)


def _whole(text: str, rng: Random) -> tuple[str, Mutation]:
    entities = "".join(f'<!ENTITY l{i + 1} "{f"&l{i};" * 10}">' for i in range(9))
    bomb = f'<!DOCTYPE OME [<!ENTITY l0 "lol">{entities}]>'
    outside = '<!DOCTYPE OME [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    head, body = text[: text.index("<OME")], text[text.index("<OME") :]
    at = rng.randrange(len(text))
    ways = {
        "cut off": (text[:at], True),
        "entities that multiply": (head + bomb + body.replace("<Image", "&l9;<Image", 1), True),
        "an entity of another file": (head + outside + body.replace("<Image", "&x;<Image"), True),
        "nested deeply": (text.replace("<Image", "<a>" * 50_000 + "<Image", 1), True),
        "written twice": (text + body, True),
        "images in another order": ("".join(_swapped(text)), False),
        "an undeclared encoding": (text.replace("UTF-8", "UTF-7"), False),
        "zeros inside": (text[:at] + "\0" + text[at:], False),
    }
    words = rng.choice(sorted(ways))
    return ways[words][0], Mutation(f"XML: {words}", ways[words][1])


def _swapped(text: str) -> list[str]:
    parts = re.split(r"(<Image .*?</Image>)", text, flags=re.DOTALL)
    images = [i for i, part in enumerate(parts) if part.startswith("<Image ")]
    if len(images) > 1:
        first, last = images[0], images[-1]
        parts[first], parts[last] = parts[last], parts[first]
    return parts


def _bytes(text: str, rng: Random) -> tuple[str, Mutation]:
    changed = change_bytes(text.encode(), rng)
    return changed.data.decode("utf-8", "surrogateescape"), Mutation(changed.words, judged=False)
