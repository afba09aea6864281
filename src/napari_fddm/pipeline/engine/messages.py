"""Messages between the engine process and its client: requests and replies, pickled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from napari_fddm.core.errors import FddmError
    from napari_fddm.core.geometry import YX, Region
    from napari_fddm.slides.served import PixelSource

Existing = Literal["resume", "revise", "fresh"]


@dataclass(frozen=True, slots=True)
class RunRequest:
    """Analyze a slide.

    Attributes
    ----------
    run_id : int
        Marks every answer; late answers of another run are dropped.
    slide : str or PixelSource
        What `open_slide` takes, a path or ``synthetic:…``; or the source of served pixels.
    mpp : float or None
        The user's µm per level-0 px, where the slide does not hold it.
    model : str
        Id or folder.
    config : dict
        Fields of `AnalysisConfig`.
    region : Region or None
        What to analyze, level-0 px; None for the whole slide.
    store : str
        Folder of the working store.
    focus : tuple of float or None
        (y, x), level-0 px, where the user looks: tiles near it come first.
    existing : {"resume", "revise", "fresh"}
        What to do with a store that exists, see `pipeline.run.analyze.analyze`.
    spread : bool
        Whether strokes are kept and spread.
    allow_download : bool
        Whether what the model needs may be fetched from the hub.
    """

    run_id: int
    slide: str | PixelSource
    mpp: float | None
    model: str
    config: dict[str, Any]
    region: Region | None
    store: str
    focus: YX | None = None
    existing: Existing = "resume"
    spread: bool = False
    allow_download: bool = False


@dataclass(frozen=True, slots=True)
class PreloadRequest:
    """Load a model before a run needs it; errors are reported by the run, not here.

    Attributes
    ----------
    model : str
        Id or folder.
    config : dict
        Fields of `AnalysisConfig`; the device and the batch size matter.
    """

    model: str
    config: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AdaptRequest:
    """Learn from the strokes of an analysis; see `training.adapt.learn.adapt_events`.

    Attributes
    ----------
    run_id : int
        Marks every answer.
    slide : str or PixelSource
        As in `RunRequest`.
    mpp : float or None
        As in `RunRequest`.
    model : str
        Which model learns: id, name, folder or hub source.
    config : dict
        Fields of `AnalysisConfig`; the device and the batch size matter.
    store : str
        Folder of the working store.
    name : str
        Name of the adapted model.
    lora : bool
        Whether LoRA adapters of the backbone are trained, too.
    """

    run_id: int
    slide: str | PixelSource
    mpp: float | None
    model: str
    config: dict[str, Any]
    store: str
    name: str
    lora: bool = False


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Stop a run after the batch it is in; finished work is kept."""

    run_id: int


@dataclass(frozen=True, slots=True)
class ShutdownRequest:
    """End the process after the batch it is in."""


Request = RunRequest | AdaptRequest | PreloadRequest | CancelRequest | ShutdownRequest


@dataclass(frozen=True, slots=True)
class EngineReady:
    """The engine has imported everything and can run.

    Attributes
    ----------
    device : str
        Device that it will run on, in words.
    seconds : float
        How long the start took.
    devices : tuple of str
        Devices that a run may choose: "cpu", "cuda" …
    """

    device: str
    seconds: float
    devices: tuple[str, ...] = ("cpu",)


@dataclass(frozen=True, slots=True)
class RunEvent:
    """An event of a run or of learning."""

    run_id: int
    event: Any


@dataclass(frozen=True, slots=True)
class RunFinished:
    """A run was completed.

    Attributes
    ----------
    run_id : int
        Which.
    summary : dict
        `AnalysisResult.to_json`.
    """

    run_id: int
    summary: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AdaptFinished:
    """Learning ended; the summary says whether a model was made.

    Attributes
    ----------
    run_id : int
        Which.
    summary : dict
        `AdaptResult.to_json`.
    """

    run_id: int
    summary: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunCancelled:
    """A run was stopped; finished tiles and rows of regions are in the store."""

    run_id: int


@dataclass(frozen=True, slots=True)
class RunFailed:
    """A run ended with an error.

    Attributes
    ----------
    run_id : int
        Which; -1 when the engine itself could not start.
    error : FddmError
        What was raised; an EngineError if it was not one of napari-fddm's errors.
    traceback : str
        Where in the engine it happened, for a bug report; empty for errors raised on purpose.
    """

    run_id: int
    error: FddmError
    traceback: str = ""


Reply = EngineReady | RunEvent | RunFinished | AdaptFinished | RunCancelled | RunFailed
