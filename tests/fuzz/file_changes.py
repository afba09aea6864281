"""What can stand in a file's place: nothing, another file, a pipe, a folder, a link."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from tests.fuzz.cases import Mutation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random


def files_of(folder: Path) -> list[Path]:
    """Return all files in a folder, in an order that does not depend on the disk."""
    return sorted(p for p in folder.rglob("*") if p.is_file())


def replace_file(path: Path, rng: Random, *, others: list[Path] | None = None) -> Mutation:
    """Put something else in a file's place.

    Parameters
    ----------
    path : Path
        A file.
    rng : Random
        Chooses what.
    others : list of Path, optional
        Files of which one may change its place with this one.
    """
    ways: list[Callable[[Path], str]] = [
        _remove, _remove, _empty, _pipe, _folder, _link_to_itself, _link_to_a_device, _dangling,
    ]  # fmt: skip
    rest = [p for p in others or [] if p != path]
    if rest:
        ways += [lambda p: _exchange(p, rng.choice(rest))] * 2
    return Mutation(rng.choice(ways)(path), judged=True)


def _remove(path: Path) -> str:
    path.unlink()
    return f"{path.name} taken away"


def _empty(path: Path) -> str:
    path.write_bytes(b"")
    return f"{path.name} made empty"


def _pipe(path: Path) -> str:
    path.unlink()
    os.mkfifo(path)
    return f"a pipe in the place of {path.name}"


def _folder(path: Path) -> str:
    path.unlink()
    path.mkdir()
    return f"a folder in the place of {path.name}"


def _link_to_itself(path: Path) -> str:
    path.unlink()
    path.symlink_to(path.name)
    return f"{path.name} is a link to itself"


def _link_to_a_device(path: Path) -> str:
    path.unlink()
    path.symlink_to("/dev/zero")
    return f"{path.name} is a link to /dev/zero"


def _dangling(path: Path) -> str:
    path.unlink()
    path.symlink_to("nowhere")
    return f"{path.name} is a link that leads nowhere"


def _exchange(path: Path, other: Path) -> str:
    aside = path.with_name("aside")
    shutil.move(path, aside)
    shutil.move(other, path)
    shutil.move(aside, other)
    return f"{path.name} and {other.parent.name}/{other.name} exchanged"
