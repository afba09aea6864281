"""Runs that are killed: a process that imports everything once and forks a child for each.

    python -m tests.support.killing FOLDER MODEL SEED [revise]

It prints, as JSON, what each attempt came to. The parent only imports: a fork after
threads of torch or zarr have started would hang.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

Prepare = Callable[[int], None]

HEAVY = (
    "diffusers.models.unets.unet_2d",
    "peft",
    "timm",
    "zarr",
    "napari_fddm.interop.ome_zarr",
    "napari_fddm.pipeline.run.analyze",
    "tests.support.runs",
)
KILLS = 10
REVISE_KILLS = 4
REVISE_OPERATIONS = 400
"""About as many as it takes to build the new store beside the old one and to replace it."""


STROKE = (slice(60, 90), slice(70, 110))
STROKE_CLASS = 5


def analyze_once(store: Path, model: str, prepare: Prepare, *, revise: bool = False) -> None:
    """Do one whole run, in this process; ``prepare`` gets every event's number."""
    import torch

    from napari_fddm.core.config import load_config
    from napari_fddm.models import load_model
    from napari_fddm.pipeline.run import tile_buffer
    from napari_fddm.pipeline.run.analyze import analyze
    from tests.support.runs import PIXELS, WatchedSlide

    torch.set_num_threads(1)
    tile_buffer.WRITE_EVERY_S = 0.0  # the run is short: write every batch
    config = load_config(batch_size=4, label_mpp=8.0, steps=3 if revise else 2, device="cpu")
    slide, loaded = WatchedSlide(PIXELS), load_model(model, "cpu")
    prepare(0)
    run = analyze(slide, store=store, model=loaded, config=config, revise=revise)
    for number, _ in enumerate(run, 1):
        prepare(number)


def never(_: int) -> None:
    """Let the run come to its end."""


def at_a_moment(chance: random.Random) -> Prepare:
    """Kill this process some milliseconds after one of its first events."""
    event, delay = chance.randrange(8), chance.uniform(0.0, 0.06)

    def prepare(number: int) -> None:
        if number == event:
            timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL))
            timer.daemon = True
            timer.start()

    return prepare


def at_an_operation(chance: random.Random, most: int = 700) -> Prepare:
    """Kill this process when it opens, renames or removes its n-th file from now on."""
    wanted, seen = chance.randrange(1, most), 0

    def watch(event: str, _: object) -> None:
        nonlocal seen
        if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.truncate"):
            seen += 1
            if seen == wanted:
                os.kill(os.getpid(), signal.SIGKILL)

    def prepare(number: int) -> None:
        if number == 0:
            sys.addaudithook(watch)

    return prepare


def between_renames(store: Path) -> Prepare:
    """Kill this process when the old store was moved away and the new one was not yet moved in."""

    def watch(event: str, args: tuple[object, ...]) -> None:
        if event == "os.rename" and str(args[1]) == str(store):
            os.kill(os.getpid(), signal.SIGKILL)

    def prepare(number: int) -> None:
        if number == 0:
            sys.addaudithook(watch)

    return prepare


def attempt(store: Path, model: str, prepare: Prepare, *, revise: bool = False) -> str:
    """Run in a child and say how it ended."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            analyze_once(store, model, prepare, revise=revise)
            status = 0
        except BaseException:  # noqa: BLE001 - also what is no error ends the child here
            traceback.print_exc()  # the child ends without Python's own
        finally:
            os._exit(status)
    return _ended(os.waitpid(child, 0)[1])


def _ended(status: int) -> str:
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return "killed"
    return "finished" if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 else "failed"


def state(store: Path) -> dict[str, int] | None:
    """Read a store that was killed, in a child: how much is done; None if it does not open."""
    return in_child(_state, store)


def in_child(read: Callable[[Path], dict[str, int]], store: Path) -> dict[str, int] | None:
    """Call a function in a child; None if it fails."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.write(writer, json.dumps(read(store)).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    return json.loads(text) if _ended(os.waitpid(child, 0)[1]) == "finished" else None


def _state(store: Path) -> dict[str, int]:
    from tests.support.runs import contents

    if not store.exists():
        return {"tiles": 0, "cells": 0}
    found = contents(store)
    return {
        "tiles": int(found["patch coverage"].sum()),
        "cells": int(found["refined coverage"].sum()),
    }


def kill_until_enough(
    store: Path, model: str, how: Callable[[random.Random], Prepare], chance: random.Random
) -> dict[str, object]:
    """Kill and continue a run ten times, then let it end."""
    ends: list[str] = []
    states: list[dict[str, int] | None] = []
    while ends.count("killed") < KILLS and len(ends) < 4 * KILLS:
        ends.append(attempt(store, model, how(chance)))
        states.append(state(store))
    ends.append(attempt(store, model, never))
    return {"ends": ends, "states": states}


def correct(store: Path) -> dict[str, int]:
    """Paint a stroke into a finished analysis."""
    from napari_fddm.core.geometry import Window
    from napari_fddm.pipeline.store import AnalysisStore
    from tests.support.stores import stroke

    rows, cols = STROKE
    window = Window(rows.start, cols.start, rows.stop - rows.start, cols.stop - cols.start)
    with AnalysisStore.open(store, "r+") as opened:
        opened.corrections.append_edit(stroke(opened.labels("corrected"), window, STROKE_CLASS))
    return corrections(store)


def corrections(store: Path) -> dict[str, int]:
    """Find a store as a window does and count its edits and the cells of the stroke."""
    from napari_fddm.pipeline.outputs import summarize_store
    from napari_fddm.pipeline.store import AnalysisStore

    found = summarize_store(store)
    with AnalysisStore.open(store, "r+") as opened:
        opened.corrections.sync()  # no lock is left
        inside = opened.labels("corrected")[STROKE]
        (edit,) = opened.log.edits("corrected")
    return {
        "edits": found.edits if found is not None else 0,
        "cells": int((inside[edit.mask()] == STROKE_CLASS).sum()),
    }


def revise_with_kills(folder: Path, model: str, seed: int) -> dict[str, object]:
    """Correct an analysis, then kill its revisions, then let one end."""
    for name in HEAVY:
        importlib.import_module(name)
    store = folder / "s.fddm.ome.zarr"
    ends = [attempt(store, model, never)]
    states = [in_child(correct, store)]
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    for prepare in (
        between_renames(store),
        *(at_an_operation(chance, REVISE_OPERATIONS) for _ in range(REVISE_KILLS)),
    ):
        ends.append(attempt(store, model, prepare, revise=True))
        states.append(in_child(corrections, store))
    ends.append(attempt(store, model, never, revise=True))
    states.append(in_child(corrections, store))
    return {"ends": ends, "states": states}


def main(folder: Path, model: str, seed: int) -> dict[str, object]:
    """Run once undisturbed, once with kills at moments, once with kills at file operations."""
    for name in HEAVY:
        importlib.import_module(name)
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    return {
        "whole": attempt(folder / "whole", model, never),
        "moments": kill_until_enough(folder / "moments", model, at_a_moment, chance),
        "operations": kill_until_enough(folder / "operations", model, at_an_operation, chance),
    }


if __name__ == "__main__":
    do = revise_with_kills if sys.argv[4:] == ["revise"] else main
    print(json.dumps(do(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))  # noqa: T201
