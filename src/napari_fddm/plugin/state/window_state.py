"""The state of the window, free of Qt: panels show it, controllers change it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_fddm.plugin.state.display import ClassDisplay

if TYPE_CHECKING:
    from napari_fddm.core.cards import ModelCard
    from napari_fddm.core.necrosis import NecrosisDefinition, NecrosisReport
    from napari_fddm.plugin.state.placement import Placement
    from napari_fddm.slides.choosing import SlideImage


class RunPhase(StrEnum):
    """What the engine is doing for this window."""

    IDLE = "idle"
    STARTING = "starting"
    RUNNING = "running"
    CANCELLING = "cancelling"


class Scope(StrEnum):
    """Which part of the slide a run analyzes."""

    VIEWPORT = "viewport"
    DRAWN = "drawn region"
    SLIDE = "whole slide"


@dataclass(frozen=True, slots=True)
class ShownSlide:
    """A slide that is open in the viewer.

    Attributes
    ----------
    name : str
        Its name in the window.
    uri : str
        What the engine opens: a path or ``synthetic:…``; empty where the window sends the
        pixels of a layer to the engine.
    path : str or None
        Its file, if it has one; the store is created beside it.
    fingerprint : str
        Identity of its content.
    shape : tuple of int
        (height, width), level-0 px.
    mpp : float or None
        µm per level-0 px.
    mpp_source : str
        Where the pixel size comes from.
    warnings : tuple of str
        What the user should know about the file.
    placement : Placement or None
        Where its layer lies; None if this plugin's reader placed it.
    images : tuple of SlideImage
        All images of its file; empty if it holds one only.
    series : int
        Which of them it is.
    other_series : int or None
        The same where it is another than the file's own slide.
    """

    name: str
    uri: str
    path: str | None
    fingerprint: str
    shape: tuple[int, int]
    mpp: float | None
    mpp_source: str
    warnings: tuple[str, ...] = ()
    placement: Placement | None = None
    images: tuple[SlideImage, ...] = ()
    series: int = 0
    other_series: int | None = None

    @property
    def local_path(self) -> Path | None:
        """Its file, if it has one."""
        return Path(self.path) if self.path else None

    @property
    def size_text(self) -> str:
        """Size and pixel size as text."""
        if self.mpp is None:
            return "{1} × {0} px, pixel size unknown".format(*self.shape)
        height, width = (n * self.mpp / 1000 for n in self.shape)
        return f"{width:.1f} × {height:.1f} mm, {self.mpp:.3g} µm/px ({self.mpp_source})"


@dataclass(frozen=True, slots=True)
class RunProgress:
    """The progress of a run, or of training on corrections.

    Attributes
    ----------
    phase : RunPhase
        What the engine is doing.
    text : str
        The progress as text.
    done, total : int
        Units of work of the current stage; a total of 0 means unknown.
    """

    phase: RunPhase = RunPhase.IDLE
    text: str = ""
    done: int = 0
    total: int = 0

    def advanced_to(self, text: str, done: int, total: int) -> RunProgress:
        """Return the progress of work that is running; a requested cancel stays."""
        phase = self.phase if self.phase is RunPhase.CANCELLING else RunPhase.RUNNING
        return RunProgress(phase, text, done, total)


SPEED_KNOWN_AFTER_S = 2.0
"""Seconds before a speed is shown: the first batch is not representative."""


def progress_text(
    title: str, done: int, total: int, unit: str, seconds: float, before: int = 0
) -> str:
    """Return the progress of a stage as text, with speed and remaining time.

    Parameters
    ----------
    title : str
        Name of the stage.
    done, total : int
        Units of work.
    unit : str
        Name of the units, e.g. "tiles".
    seconds : float
        Duration of the stage so far.
    before : int
        Units that earlier runs had done already; they do not count for the speed.
    """
    if not (total and done):
        return title
    if done <= before or seconds < SPEED_KNOWN_AFTER_S:
        return f"{title}: {done} of {total} {unit}"
    speed = (done - before) / seconds
    time_left = duration_text((total - done) / speed)
    return f"{title}: {done} of {total} {unit}, {speed:.1f}/s, {time_left} left"


def duration_text(seconds: float) -> str:
    """Return a duration as text, e.g. "40 s" or "12 min"."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


class PluginState:
    """Everything the panels show.

    Attributes
    ----------
    slide_changed, progress_changed, report_changed, device_changed, model_changed : Signal
    display_changed, locked_changed : Signal
        Emitted after the property of that name was set to another value.
    """

    slide_changed = Signal(object)
    display_changed = Signal(object)
    locked_changed = Signal(object)
    progress_changed = Signal(object)
    report_changed = Signal(object)
    device_changed = Signal(str)
    model_changed = Signal(str)

    def __init__(self) -> None:
        self._slide: ShownSlide | None = None
        self._progress = RunProgress()
        self._report: tuple[NecrosisReport | None, NecrosisReport | None] = (None, None)
        self._device = ""
        self._display = ClassDisplay()
        self._locked: frozenset[int] = frozenset()
        self.definition = "fddm"
        self.estimate_first = False
        self.definitions: tuple[NecrosisDefinition, ...] = ()
        self._model_name = "fddm-small"
        self.card: ModelCard | None = None
        self.devices: tuple[str, ...] = ("cpu",)
        self.tiles_per_second: float | None = None

    def hides_rate_of(self, estimate: float | None) -> bool:
        """Return whether computed rates are hidden: the reader's estimate is wanted and missing."""
        return self.estimate_first and estimate is None

    @property
    def slide(self) -> ShownSlide | None:
        """The slide that a run would analyze."""
        return self._slide

    @slide.setter
    def slide(self, value: ShownSlide | None) -> None:
        if value != self._slide:
            self._slide = value
            self.slide_changed.emit(value)

    @property
    def progress(self) -> RunProgress:
        """The progress of the run."""
        return self._progress

    @progress.setter
    def progress(self, value: RunProgress) -> None:
        if value != self._progress:
            self._progress = value
            self.progress_changed.emit(value)

    @property
    def model_name(self) -> str:
        """The model of the next run: a bundled id, a folder or ``hf:owner/name``."""
        return self._model_name

    @model_name.setter
    def model_name(self, value: str) -> None:
        if value != self._model_name:
            self._model_name = value
            self.model_changed.emit(value)

    @property
    def busy(self) -> bool:
        """Whether the engine is working for this window."""
        return self._progress.phase is not RunPhase.IDLE

    @property
    def report(self) -> tuple[NecrosisReport | None, NecrosisReport | None]:
        """The reports (corrected, automatic); None before there is a result."""
        return self._report

    @report.setter
    def report(self, value: tuple[NecrosisReport | None, NecrosisReport | None]) -> None:
        self._report = value
        self.report_changed.emit(value)

    @property
    def display(self) -> ClassDisplay:
        """How classes are displayed, in every analysis of this window."""
        return self._display

    @display.setter
    def display(self, value: ClassDisplay) -> None:
        if value != self._display:
            self._display = value
            self.display_changed.emit(value)

    @property
    def locked(self) -> frozenset[int]:
        """Classes that are protected from painting, in every analysis of this window."""
        return self._locked

    @locked.setter
    def locked(self, value: frozenset[int]) -> None:
        if value != self._locked:
            self._locked = value
            self.locked_changed.emit(value)

    @property
    def device(self) -> str:
        """The device that the engine uses, as text; empty until it is ready."""
        return self._device

    @device.setter
    def device(self, value: str) -> None:
        if value != self._device:
            self._device = value
            self.device_changed.emit(value)
