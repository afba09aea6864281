"""Changes of JSON values that keep the rest of the document as it is."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

DEEP = 100_000
_RAW = "@@raw@@"


class ChangedJson(NamedTuple):
    """A changed document; `plausible` if the change could be meant."""

    text: str
    words: str
    plausible: bool


def change_json(text: str, rng: Random) -> ChangedJson:
    """Change one value of a JSON document."""
    root = json.loads(text)
    places = list(_places(root))
    path = rng.choice(places)
    parent, key = _parent(root, path) if path else (None, None)
    where = "/".join(str(p) for p in path) or "the whole"
    value = parent[key] if parent is not None else root
    ways = ["type", "type", "huge", "nested", "text"]
    if parent is not None:
        ways += ["delete", "delete", "twice"]
        if isinstance(parent, dict):
            ways += ["rename"]
    if isinstance(value, int | float) and not isinstance(value, bool):
        ways += ["near", "near"]
    if isinstance(value, list):
        ways += ["empty", "shuffle", "shorten"]
    if isinstance(value, dict):
        ways += ["empty"]
    way = rng.choice(ways)
    return _changed(root, parent, key, value, way, where, rng)


def same_structure(first: str, second: str) -> bool:
    """Whether two documents differ in plain values of one type alone, if at all."""
    try:
        return _skeleton(json.loads(first)) == _skeleton(json.loads(second))
    except (ValueError, RecursionError):
        return False


def _changed(
    root: Any, parent: Any, key: Any, value: Any, way: str, where: str, rng: Random
) -> ChangedJson:
    if way == "delete":
        del parent[key]
        return ChangedJson(_text(root), f"{where} deleted", isinstance(parent, list))
    if way == "rename":
        name = rng.choice((f"{key}x", key.upper(), f" {key}", "a", "\u0000", "\ud83d\ude00"))
        parent[name] = parent.pop(key)
        return ChangedJson(_text(root), f"{where} named {name!r}", False)
    if way == "twice":
        return _twice(root, parent, key, value, where, rng)
    new, raw, plausible = _VALUES[way](value, rng)
    words = (
        f"{where} nested {DEEP} deep"
        if way == "nested"
        else f"{where} set to {raw or repr(new)[:60]}"
    )
    if parent is None:
        root = new
    else:
        parent[key] = new
    text = _text(root)
    return ChangedJson(text.replace(json.dumps(_RAW), raw) if raw else text, words, plausible)


def _twice(root: Any, parent: Any, key: Any, value: Any, where: str, rng: Random) -> ChangedJson:
    """Write an element of a list twice, or a member of an object with two values."""
    if isinstance(parent, list):
        parent.insert(key, copy.deepcopy(value))
        return ChangedJson(_text(root), f"{where} stands there twice", True)
    first, last = rng.sample((value, rng.choice(_WRONG)), 2)
    parent[key] = last
    text, mark = _text(root), f"{json.dumps(key)}: "
    at = text.rfind(mark)
    text = f"{text[:at]}{mark}{_text(first)}, {text[at:]}"
    return ChangedJson(text, f"{where} stands there twice, with two values", False)


def _type(value: Any, rng: Random) -> tuple[Any, str, bool]:
    return rng.choice([v for v in _WRONG if type(v) is not type(value)]), "", False


def _huge(value: Any, rng: Random) -> tuple[Any, str, bool]:
    raw = rng.choice(("1e400", "-1e400", "NaN", "Infinity", "1" + "0" * 400, "-1", "0", "1e300",
                      "9223372036854775808", "1e-300", "4294967296"))  # fmt: skip
    return _RAW, raw, raw in ("0", "-1") and isinstance(value, int | float)


def _nested(_: Any, rng: Random) -> tuple[Any, str, bool]:
    return _RAW, rng.choice(("[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP)), False


def _other_text(value: Any, rng: Random) -> tuple[Any, str, bool]:
    new = rng.choice(("", "x" * 1_000_000, "\u202egnp.", "\x1b[2J", "a\u0000b", "../../x",
                      "\ud800", "<img src=x>", "=1+1", "é" * 50))  # fmt: skip
    return new, "", isinstance(value, str) and bool(new)


def _near(value: Any, rng: Random) -> tuple[Any, str, bool]:
    return value + rng.choice((-1, 1)) if isinstance(value, int) else value * 1.01, "", True


_VALUES: dict[str, Callable[[Any, Random], tuple[Any, str, bool]]] = {
    "type": _type,
    "huge": _huge,
    "nested": _nested,
    "text": _other_text,
    "near": _near,
    "empty": lambda value, _: (type(value)(), "", False),
    "shuffle": lambda value, rng: (rng.sample(value, len(value)), "", True),
    "shorten": lambda value, _: (value[: len(value) // 2], "", len(value) > 1),
}
"""By the way: the new value, or its text; and whether it could be meant."""
_WRONG: tuple[Any, ...] = (None, True, 7, -3.5, "text", [], {}, [1, 2], {"a": 1}, [[None]])


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value[:40]) if isinstance(
        value, list) else ()  # fmt: skip
    for key, inner in items:
        yield from _places(inner, (*path, key))


def _parent(root: Any, path: tuple[Any, ...]) -> tuple[Any, Any]:
    for key in path[:-1]:
        root = root[key]
    return root, path[-1]


def _skeleton(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _skeleton(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_skeleton(inner) for inner in value]
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)
