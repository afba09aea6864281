"""Readers that do what a case must not do: that each is found is what the harness is for."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from napari_fddm.core.errors import DataError
from tests.fuzz.cases import Kind, Mutation, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random


class Toy(Kind):
    """A file whose reader behaves until it is damaged.

    Parameters
    ----------
    name : str
        Name of the kind.
    behavior : callable
        Called with the folder of a damaged file.
    judged : bool
        Whether the damage can be seen.
    """

    def __init__(
        self, name: str, behavior: Callable[[Path], Outcome | None], *, judged: bool
    ) -> None:
        self.name, self._behavior, self._judged = name, behavior, judged

    def build(self, folder: Path) -> None:
        (folder / "only").mkdir()
        (folder / "only" / "a").write_text("1")

    def mutate(self, work: Path, seed: str, rng: Random) -> Mutation:
        (work / "a").write_text("2")
        return Mutation("damaged", self._judged)

    def read(self, work: Path, seed: str) -> Outcome:
        found = self._behavior(work) if (work / "a").read_text() == "2" else None
        return found or Outcome({"number": 1})


def _refuses(_: Path) -> None:
    raise DataError("it is damaged.")


def _raises(_: Path) -> None:
    raise KeyError("a")


def _runs_out(_: Path) -> None:
    try:
        bytearray(1 << 40)
    except MemoryError as error:
        raise DataError("it needs more memory than there is.") from error


def _swells(_: Path) -> None:
    held = bytearray(b"x") * ((1 << 29) + (1 << 27))
    del held


def _dies(_: Path) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _works_on(_: Path) -> None:
    while True:
        pass


def _waits(_: Path) -> None:
    time.sleep(1000)


def _leaves(work: Path) -> None:
    (work.parents[1] / "tmp" / "left").write_text("x")


def _goes_out(_: Path) -> None:
    with open(Path.home().parent / "outside" / "secret.txt", "a"):
        pass


def _prints(_: Path) -> None:
    try:
        _raises(_)
    except KeyError:
        traceback.print_exc(file=sys.stderr)


_OTHER = Outcome({"number": 2})
TOYS: dict[str, Kind] = {
    toy.name: toy
    for toy in (
        Toy("same", lambda _: None, judged=True),
        Toy("refused", _refuses, judged=True),
        Toy("said", lambda _: Outcome({"number": 2}, frozenset({"a word"})), judged=True),
        Toy("no number", lambda _: Outcome({"number": None}), judged=True),
        Toy("other", lambda _: _OTHER, judged=False),
        Toy("silent", lambda _: _OTHER, judged=True),
        Toy("raises", _raises, judged=False),
        Toy("runs out", _runs_out, judged=False),
        Toy("swells", _swells, judged=False),
        Toy("dies", _dies, judged=False),
        Toy("works on", _works_on, judged=False),
        Toy("waits", _waits, judged=False),
        Toy("leaves", _leaves, judged=False),
        Toy("goes out", _goes_out, judged=False),
        Toy("prints", _prints, judged=False),
    )
}
