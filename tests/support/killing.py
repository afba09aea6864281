"""Runs that are killed: a process that imports everything once and forks a child for each.

    python -m tests.support.killing FOLDER MODEL SEED

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
from collections.abc import Callable
from pathlib import Path

Prepare = Callable[[int], None]

HEAVY = (
    "diffusers.models.unets.unet_2d",
    "peft",
    "timm",
    "zarr",
    "napari_fddm.interop.ome_zarr",
    "napari_fddm.pipeline.analyze",
    "tests.support.runs",
)
KILLS = 10


def analyze_once(store: Path, model: str, prepare: Prepare) -> None:
    """Do one whole run, in this process; ``prepare`` gets every event's number."""
    import torch

    from napari_fddm.core.config import load_config
    from napari_fddm.models.bundle import load_model
    from napari_fddm.pipeline import tile_buffer
    from napari_fddm.pipeline.analyze import analyze
    from tests.support.runs import PIXELS, WatchedSlide

    torch.set_num_threads(1)
    tile_buffer.WRITE_EVERY_S = 0.0  # the run is short: write every batch
    config = load_config(batch_size=4, label_mpp=8.0, steps=2, device="cpu")
    slide, loaded = WatchedSlide(PIXELS), load_model(model, "cpu")
    prepare(0)
    for number, _ in enumerate(analyze(slide, store=store, model=loaded, config=config), 1):
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


def at_an_operation(chance: random.Random) -> Prepare:
    """Kill this process when it opens, renames or removes its n-th file from now on."""
    wanted, seen = chance.randrange(1, 700), 0

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


def attempt(store: Path, model: str, prepare: Prepare) -> str:
    """Run in a child and say how it ended."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            analyze_once(store, model, prepare)
            status = 0
        finally:
            os._exit(status)
    return _ended(os.waitpid(child, 0)[1])


def _ended(status: int) -> str:
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return "killed"
    return "finished" if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 else "failed"


def state(store: Path) -> dict[str, int] | None:
    """Read a store that was killed, in a child: how much is done; None if it does not open."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.write(writer, json.dumps(_state(store)).encode())
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
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))  # noqa: T201
