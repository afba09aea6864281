"""A process that runs cases one after another, as its standard input asks for.

    python -m tests.fuzz.worker JAIL SEEDS

Each line of the input is a JSON object, ``{"do": "build" | "case", "kind": …, "case": …}``.
The answer to a case is a line that says what it is, before it is read, and one with what came
of it. What the program under test prints goes elsewhere.
"""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import sys
import traceback
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fddm.core.errors import FddmError
from tests.fuzz.cases import FAILED, REFUSED, Kind, Outcome, Result, compare
from tests.fuzz.jail import Jail

if TYPE_CHECKING:
    from collections.abc import Callable

ENOUGH_FRAMES = 6


class Worker:
    """Runs cases in a jail.

    Parameters
    ----------
    jail : Path
        Its folder.
    seeds : Path
        Where seeds lie, a folder for each kind.
    base : str
        Seed of all chances.
    """

    def __init__(self, jail: Path, seeds: Path, base: str) -> None:
        self.jail = Jail(jail)
        self.seeds = seeds
        self.base = base
        self._known: dict[tuple[str, str], Outcome] = {}
        self._printed = (jail / "printed").open("wb+", buffering=0)
        # Also what C libraries print.
        os.dup2(self._printed.fileno(), 2)

    def build(self, kind: Kind) -> None:
        """Write the seeds of a kind, unless they are there."""
        folder = self.seeds / kind.name
        if not folder.exists():
            made = folder.with_name(f"{folder.name}.part")
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir(parents=True)
            kind.build(made)
            made.rename(folder)

    def run(
        self, kind: Kind, case: int, keep: Path | None, begun: Callable[[Result], None]
    ) -> Result:
        """Run one case; `begun` is told what it is before anything is read."""
        rng = random.Random(f"{self.base}:{kind.name}:{case}")  # noqa: S311
        folder = self.seeds / kind.name
        seed = rng.choice(sorted(p.name for p in folder.iterdir()))
        work = self._copy(folder / seed)
        mutation = kind.mutate(work, seed, rng)
        if keep is not None:
            shutil.rmtree(keep, ignore_errors=True)
            shutil.copytree(work, keep, symlinks=True, ignore=_pipes)
        about = Result(kind.name, case, FAILED, mutation.judged, seed, mutation.words)
        begun(about)
        damaged = work.rename(work.with_name("damaged"))
        try:
            reference = self._reference(kind, seed)
        except Exception as error:  # noqa: BLE001
            said = f"{error}\n{_last_of(traceback.format_exc())}"
            return replace(about, detail=f"the intact file is refused: {said}")
        shutil.rmtree(work, ignore_errors=True)
        damaged.rename(work)
        verdict, detail = self._judged(kind, seed, work, reference, judged=mutation.judged)
        return replace(about, verdict=verdict, detail=detail)

    def _judged(
        self, kind: Kind, seed: str, work: Path, reference: Outcome, *, judged: bool
    ) -> tuple[str, str]:
        printed = self._printed.seek(0, os.SEEK_END)
        out = io.StringIO()
        try:
            with self.jail.watching() as broken, redirect_stdout(out), redirect_stderr(out):
                verdict, detail = _read(kind, seed, work, reference, judged=judged)
        except Exception:  # noqa: BLE001 - of the harness itself
            return FAILED, f"the harness: {_last_of(traceback.format_exc())}"
        self._printed.seek(printed)
        text = out.getvalue() + self._printed.read().decode(errors="replace")
        if verdict != FAILED and "Traceback (most recent call last)" in text:
            verdict, detail = FAILED, f"a traceback was printed: {_last_of(text)}"
        if broken and verdict != FAILED:
            verdict, detail = FAILED, "; ".join(broken)
        return verdict, detail

    def _reference(self, kind: Kind, seed: str) -> Outcome:
        known = (kind.name, seed)
        if known not in self._known:
            work = self.jail.case / "input"
            shutil.copytree(self.seeds / kind.name / seed, work, symlinks=True)
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                self._known[known] = kind.read(work, seed)
        return self._known[known]

    def _copy(self, seed: Path) -> Path:
        work = self.jail.cleared() / "input"
        shutil.copytree(seed, work, symlinks=True)
        return work


def _read(
    kind: Kind, seed: str, work: Path, reference: Outcome, *, judged: bool
) -> tuple[str, str]:
    try:
        found = kind.read(work, seed)
    except FddmError as error:
        if _ran_out(error):
            return FAILED, f"out of memory before it was refused: {error}"
        return REFUSED, str(error)
    except Exception as error:  # noqa: BLE001
        where = _last_of(traceback.format_exc())
        return FAILED, f"{type(error).__name__}: {str(error)[:300]}\n{where}"
    return compare(reference, found, judged=judged, tolerance=kind.tolerance)


def _ran_out(error: BaseException | None) -> bool:
    seen = 0
    while error is not None and seen < 20:
        if isinstance(error, MemoryError):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


def _last_of(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-2 * ENOUGH_FRAMES :])[:4000]


def _pipes(folder: str, names: list[str]) -> list[str]:
    return [n for n in names if not os.path.islink(p := os.path.join(folder, n))
            and not os.path.isfile(p) and not os.path.isdir(p)]  # fmt: skip


def main() -> None:
    from tests.fuzz.kinds.every import load_kind
    from tests.fuzz.toys import TOYS

    warnings.simplefilter("ignore")
    jail, seeds, base = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    answers = os.fdopen(os.dup(1), "w", buffering=1)

    def answer(values: dict[str, Any]) -> None:
        answers.write(json.dumps(values) + "\n")

    os.dup2(2, 1)
    worker = Worker(jail, seeds, base)
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        kind = TOYS.get(asked["kind"]) or load_kind(asked["kind"])
        worker.build(kind)
        if asked["do"] == "build":
            answer({})
            continue
        keep = Path(asked["keep"]) if asked.get("keep") else None
        answer(
            worker.run(
                kind, asked["case"], keep, lambda r: answer({"begun": r.to_json()})
            ).to_json()
        )


if __name__ == "__main__":
    main()
