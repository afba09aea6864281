"""A safetensors header that cannot be is refused before anything is read or allocated."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file

from napari_fddm.core.errors import WeightsError
from napari_fddm.core.outside.tensor_files import TensorEntry, open_tensors, read_header

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, header: Any, data: bytes = b"\0" * 8) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def entry(**changes: Any) -> dict[str, Any]:
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes}


def test_a_sound_file_is_read(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    state = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(0, 4, dtype=torch.bfloat16)}
    save_file(state, path, metadata={"format": "pt"})
    assert read_header(path) == {
        "a": TensorEntry("F32", (2, 3)),
        "b": TensorEntry("BF16", (0, 4)),
    }
    with open_tensors(path) as file:
        assert torch.equal(file.get_tensor("a"), state["a"])


@pytest.mark.parametrize(
    "header",
    [
        entry(shape=[10**9]),
        entry(shape=[1 << 62, 4]),
        entry(shape=[-2]),
        entry(shape=[True, 2]),
        entry(shape="2"),
        entry(shape=[[2]]),
        entry(dtype="F99"),
        entry(dtype=["F32"]),
        entry(data_offsets=[0, 4]),
        entry(data_offsets=[4, 12]),
        entry(data_offsets=[8, 0]),
        entry(data_offsets=None),
        {"a": 3},
        {"a": entry()["a"], "b": entry()["a"]},
        {},
        [],
        b"{" * 5000,
        b'{"a": NaN}',
        b"\xff\xfe\xfd",
    ],
)
def test_a_header_that_cannot_be_is_refused(tmp_path: Path, header: Any):
    path = write(tmp_path / "a.safetensors", header)
    with pytest.raises(WeightsError, match=r"a\.safetensors") as caught:
        read_header(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(WeightsError), open_tensors(path):
        pass


@pytest.mark.parametrize("length", [0, 1, 1 << 20, 1 << 62, (1 << 64) - 1])
def test_a_header_of_an_impossible_length_is_refused(tmp_path: Path, length: int):
    path = tmp_path / "a.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{}")
    with pytest.raises(WeightsError, match="impossible length"):
        read_header(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are no files here")
def test_a_pipe_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="a pipe or device"):
        read_header(tmp_path / "a.safetensors")
