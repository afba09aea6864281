"""Run a network in batches that are halved when memory runs out."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from napari_fddm.core.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

Part = TypeVar("Part", bound=tuple["npt.NDArray[np.generic]", ...])

OUT_OF_MEMORY = (
    "out of memory",  # CUDA and MPS, where it is not an OutOfMemoryError
    "not enough memory",  # torch on a CPU
    "can't allocate memory",  # the same on Linux and macOS
    "alloc_failed",  # cuBLAS's and cuDNN's CUBLAS_STATUS_ALLOC_FAILED
    "unable to allocate",  # numpy
)


class HalvingBatches:
    """Calls a network on a batch, in halves and halves of halves where memory runs out.

    A size that did not fit is not tried again: the rest of the run uses the
    smaller batch. Results are then equal to those of a full batch only within a
    tolerance, for networks round differently in other shapes
    (``docs/architecture.md#equal-to-the-last-bit``); `note` says so to the user.

    Parameters
    ----------
    batch_size : int
        Items in a batch, to begin with.
    unit : str
        Name of the items in messages, e.g. "tiles".

    Attributes
    ----------
    size : int
        Items per call now.
    """

    def __init__(self, batch_size: int, unit: str) -> None:
        self.batch_size = batch_size
        self.unit = unit
        self.size = batch_size

    @property
    def note(self) -> str:
        """A note for the user; empty if every batch fitted."""
        if self.size == self.batch_size:
            return ""
        return (
            f"memory was too small for {self.batch_size} {self.unit} at a time: "
            f"{self.size} were taken; numbers may differ from those of another run in the last "
            "digits"
        )

    def run(self, call: Callable[[int, int], Part], count: int) -> Part:
        """Return the results for ``count`` items, put together along the first axis.

        Parameters
        ----------
        call : callable
            From a start and a stop to a tuple of arrays of ``stop - start`` items.
        count : int
            Items in this batch, at least 1.

        Raises
        ------
        EngineError
            If even one item at a time does not fit.
        """
        parts: list[Part] = []
        start = 0
        while start < count:
            stop = min(start + self.size, count)
            part = self._try(call, start, stop)
            if part is not None:
                parts.append(part)
                start = stop
        if len(parts) == 1:
            return parts[0]
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))  # type: ignore[return-value]

    def _try(self, call: Callable[[int, int], Part], start: int, stop: int) -> Part | None:
        try:
            return call(start, stop)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
        # Only now is the traceback gone, which held the tensors of the failed call.
        free_memory()
        if stop - start == 1:
            raise EngineError(
                f"memory does not suffice for one of the {self.unit} at a time ({reason[:160]}).",
                hint="Close other programs, choose another --device, or take a smaller model.",
            )
        self.size = (stop - start) // 2
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of torch or numpy means that memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in OUT_OF_MEMORY)


def free_memory() -> None:
    """Return the memory that Python and torch keep cached."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
