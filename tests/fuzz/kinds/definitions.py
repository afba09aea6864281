"""The user's own definitions of the rate, in TOML and JSON."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

from napari_fddm.core.definitions import find_definitions
from tests.fuzz.bytes_changes import change_bytes
from tests.fuzz.cases import Kind, Mutation, Outcome
from tests.fuzz.file_changes import replace_file
from tests.fuzz.json_changes import change_json, same_structure

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

_TOML = """[with-hemorrhage]
title = "necrosis and hemorrhage"
numerator = ["NC", "HC"]
denominator = ["VT", "NC", "HC"]
cutoffs = [0.5, 0.9]        # lower ends of Huvos grade II and III
epsilon = 0.001
source = "our protocol, 2024"

[narrow]
title = "necrosis alone"
numerator = ["NC"]
denominator = ["VT", "NC"]
source = "another protocol"
"""


class Definitions(Kind):
    """A file with two definitions."""

    name = "definitions"

    def build(self, folder: Path) -> None:
        for seed in ("toml", "json"):
            (folder / seed).mkdir()
        (folder / "toml" / "a.toml").write_text(_TOML)
        (folder / "json" / "a.json").write_text(json.dumps(tomllib.loads(_TOML), indent=1))

    def mutate(self, work: Path, seed: str, rng: Random) -> Mutation:
        path = work / f"a.{seed}"
        if rng.random() < 0.05:
            return replace_file(path, rng)
        before = path.read_bytes()
        if seed == "json" and rng.random() < 0.6:
            changed = change_json(before.decode(), rng)
            path.write_text(changed.text, errors="surrogatepass")
            last = changed.words.partition(" ")[0].rpartition("/")[2]
            optional = last in ("cutoffs", "epsilon") and "deleted" in changed.words
            whole = "/" not in changed.words.partition(" ")[0]
            return Mutation(changed.words, judged=not (changed.plausible or optional or whole))
        altered = change_bytes(before, rng)
        path.write_bytes(altered.data)
        # A definition that is gone, or a value of the same type, could be meant.
        lost = altered.end == len(before) and len(altered.data) < len(before)
        judged = not lost and not _alike(before, altered.data, seed)
        return Mutation(altered.words, judged)

    def read(self, work: Path, seed: str) -> Outcome:
        found = find_definitions(work / f"a.{seed}")
        return Outcome({d.name: repr(d) for d in found} | {"count": len(found)})


def _alike(before: bytes, after: bytes, seed: str) -> bool:
    try:
        texts = [_as_json(data.decode(), seed) for data in (before, after)]
    except ValueError:
        return False
    names = [set(json.loads(text)) for text in texts]
    return same_structure(*texts) or names[0] != names[1]


def _as_json(text: str, seed: str) -> str:
    value: Any = tomllib.loads(text) if seed == "toml" else json.loads(text)
    return json.dumps(value, default=str)
