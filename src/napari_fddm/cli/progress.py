"""Runs generators to their end and shows what they yield as progress bars."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

from napari_fddm.cli.printing import say
from napari_fddm.core.events import (
    STAGE_TITLES,
    AnalysisOpened,
    Progressed,
    RegionRefined,
    StageDone,
    StageStarted,
    TileBatch,
)
from napari_fddm.core.outside.text import visible

if TYPE_CHECKING:
    from collections.abc import Generator

    from rich.progress import Progress, TaskID

    from napari_fddm.core.events import Event
    from napari_fddm.training.loop.progress import JobProgress

R = TypeVar("R")


def drain(run: Generator[Event, None, R], *, quiet: bool = False) -> R:
    """Run a generator of events to its end and return its result.

    Parameters
    ----------
    run : generator of Event
        For example `napari_fddm.analyze`; yields at least one event.
    quiet : bool
        Show nothing.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    # Names of slides and models may contain brackets, which rich would read as markup.
    console = Console(stderr=True, quiet=quiet, markup=False, highlight=False)
    with closing(run):
        event = next(run)  # errors in the input are raised before anything is drawn
        with Progress(*columns, console=console, disable=quiet) as bars:
            tasks: dict[str, TaskID] = {}
            while True:
                _show(event, bars, tasks)
                try:
                    event = next(run)
                except StopIteration as stop:
                    result: R = stop.value
                    return result


def drain_job(
    run: Generator[JobProgress, None, Any], title: str, *, quiet: bool, begin: str = ""
) -> Any:
    """Run a job of `dataset` or `train` to its end and return its result.

    Parameters
    ----------
    run : generator of JobProgress
        Yields at least once.
    title : str
        Title of the progress bar.
    quiet : bool
        Show nothing.
    begin : str
        Printed at the first event, when the input has been checked.
    """
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, quiet=quiet, markup=False, highlight=False)
    step = next(run)
    if begin and not quiet:
        say(begin)
    with Progress(
        console=console, disable=quiet or not console.is_terminal, transient=True
    ) as bars:
        task = bars.add_task(title, total=None)
        while True:
            bars.update(task, total=step.total, completed=step.done)
            try:
                step = next(run)
            except StopIteration as stop:
                return stop.value


def _show(event: Event, bars: Progress, tasks: dict[str, TaskID]) -> None:
    if isinstance(event, AnalysisOpened):
        bars.console.print(visible(f"running on {event.device}, model {event.model['id']}"))
    elif isinstance(event, StageStarted):
        tasks[event.stage] = bars.add_task(
            STAGE_TITLES.get(event.stage, event.stage),
            total=event.total or None,
            completed=event.done,
            speed="",
            before=event.done,
        )
        if event.stage == "patch" and event.total and event.done == event.total:
            bars.console.print("all of it was classified before; the rest is computed again")
    elif isinstance(event, TileBatch):
        _advance(bars, tasks["patch"], event.done, "tiles")
    elif isinstance(event, RegionRefined):
        _advance(bars, tasks["refined"], event.done, "regions")
    elif isinstance(event, Progressed):
        bars.update(tasks[event.stage], completed=event.done)
    elif isinstance(event, StageDone):
        task = bars.tasks[tasks[event.stage]]
        total = task.total or 1
        bars.update(task.id, total=total, completed=total)
        for note in event.notes:
            bars.console.print(visible(f"note: {note}"), soft_wrap=True)  # paths stay whole


def _advance(bars: Progress, task: TaskID, done: int, unit: str) -> None:
    """Update a bar; the speed is that of this run, without the work of earlier ones."""
    state = bars.tasks[task]
    elapsed = state.elapsed or 0.0
    speed = f"{(done - state.fields['before']) / elapsed:.1f} {unit}/s" if elapsed > 0 else ""
    bars.update(task, completed=done, speed=speed)
