"""Memory that runs out costs time and the last digits, never the run, and is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_fddm.core.errors import EngineError
from napari_fddm.models.memory import HalvingBatches, is_out_of_memory

MESSAGES = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB)"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    MemoryError("Unable to allocate 3.00 GiB for an array"),
]


class Small:
    """A network that takes so many items at a time."""

    def __init__(self, most: int, error: BaseException = MESSAGES[0]) -> None:
        self.most = most
        self.error = error
        self.sizes: list[int] = []

    def __call__(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        self.sizes.append(stop - start)
        if stop - start > self.most:
            raise self.error
        items = np.arange(start, stop)
        return items * 10, items[:, None] + np.zeros(3)


@pytest.mark.parametrize("count", [1, 2, 5, 8])
@pytest.mark.parametrize("most", [1, 2, 3, 8])
def test_every_item_is_answered_in_order_whatever_fits(most: int, count: int):
    batches = HalvingBatches(8, "tiles")
    first, second = batches.run(Small(most), count)
    assert first.tolist() == [10 * i for i in range(count)]
    assert second[:, 2].tolist() == list(range(count))
    assert bool(batches.note) == (count > most)


def test_what_did_not_fit_is_not_tried_again():
    batches, network = HalvingBatches(16, "tiles"), Small(5)
    batches.run(network, 16)
    assert network.sizes == [16, 8, 4, 4, 4, 4]
    batches.run(network, 16)
    assert network.sizes[6:] == [4] * 4
    assert "16 tiles" in batches.note
    assert "4 were taken" in batches.note


def test_a_batch_that_fits_is_one_call_and_no_note():
    batches, network = HalvingBatches(8, "tiles"), Small(8)
    batches.run(network, 8)
    assert network.sizes == [8]
    assert batches.note == ""


def test_one_at_a_time_is_the_end():
    with pytest.raises(EngineError, match="one of the regions") as caught:
        HalvingBatches(4, "regions").run(Small(0), 4)
    assert "--device" in caught.value.hint
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", MESSAGES, ids=str)
def test_each_way_of_running_out_is_known(error: BaseException):
    assert is_out_of_memory(error)
    network = Small(2, error)
    HalvingBatches(4, "tiles").run(network, 4)
    assert network.sizes == [4, 2, 2]


@pytest.mark.parametrize(
    "error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("memory")]
)
def test_other_errors_pass_through(error: Exception):
    assert not is_out_of_memory(error)
    with pytest.raises(type(error)):
        HalvingBatches(4, "tiles").run(Small(0, error), 4)


def test_the_failed_calls_tensors_are_free_before_the_next(monkeypatch: pytest.MonkeyPatch):
    alive: list[int] = []

    class Tensor:
        held = 0

        def __init__(self) -> None:
            Tensor.held += 1

        def __del__(self) -> None:
            Tensor.held -= 1

    def call(start: int, stop: int) -> tuple[np.ndarray]:
        alive.append(Tensor.held)
        tensor = Tensor()
        if stop - start > 1:
            raise torch.OutOfMemoryError(f"out of memory beside {tensor!r}")
        return (np.zeros(stop - start),)

    HalvingBatches(4, "tiles").run(call, 4)
    assert set(alive) == {0}
