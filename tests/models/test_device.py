"""The device is the one asked for or an error: never another one in silence."""

from __future__ import annotations

import pytest
import torch

from napari_fddm.core.errors import ConfigError
from napari_fddm.models import choose_device
from napari_fddm.models import device as device_module
from napari_fddm.models.device import cpu_has_fast_bfloat16


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """Pretend to be a machine with some accelerators."""

    def pretend(*, cuda: int = 0, mps: bool = False, bf16: bool = True) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(device_module, "cpu_has_fast_bfloat16", lambda: False)

    return pretend


@pytest.mark.parametrize(
    ("has", "expected"),
    [
        ({"cuda": 1, "mps": True}, "cuda"),
        ({"cuda": 2}, "cuda"),
        ({"mps": True}, "mps"),
        ({}, "cpu"),
    ],
)
def test_auto_prefers_cuda_then_mps_then_cpu(machine, has: dict[str, object], expected: str):
    machine(**has)
    chosen = choose_device("auto")
    assert chosen.device.type == expected
    assert chosen == choose_device()


@pytest.mark.parametrize(
    ("has", "wanted"),
    [
        ({}, "cuda"),
        ({}, "cuda:0"),
        ({"mps": True}, "cuda"),
        ({"cuda": 1}, "cuda:1"),
        ({"cuda": 45}, "cuda:300"),  # torch itself would take this for cuda:44
        ({"cuda": 1}, "mps"),
        ({}, "mps"),
    ],
)
def test_a_device_that_is_not_there_is_an_error(machine, has: dict[str, object], wanted: str):
    machine(**has)
    with pytest.raises(ConfigError, match=f"'{wanted}' is not available") as caught:
        choose_device(wanted)
    assert "--device auto" in caught.value.hint


@pytest.mark.parametrize("wanted", ["gpu", "", "CPU", "cuda0", "cuda:", "cuda:-1", "xpu", "cpu "])
def test_unknown_names_are_an_error(machine, wanted: str):
    machine(cuda=1, mps=True)
    with pytest.raises(ConfigError, match="there is no device"):
        choose_device(wanted)


def test_the_wanted_one_of_several_is_taken(machine):
    machine(cuda=3)
    chosen = choose_device("cuda:2")
    assert chosen.device == torch.device("cuda", 2)
    assert chosen.title.startswith("GPU 2")
    assert choose_device("cpu").device.type == "cpu"


def test_precision_follows_what_the_device_multiplies_fast(machine):
    machine(cuda=1)
    assert choose_device("cuda").dtype is torch.bfloat16
    machine(cuda=1, bf16=False)
    assert choose_device("cuda").dtype is torch.float16
    machine(mps=True)
    assert choose_device("mps").dtype is torch.float32
    assert choose_device("cpu").dtype_name == "float32"


def test_the_processor_is_asked_for_bfloat16_unless_forbidden(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NAPARI_FDDM_FLOAT32", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    assert cpu_has_fast_bfloat16()
    assert choose_device("cpu").dtype_name == "bfloat16"
    monkeypatch.setenv("NAPARI_FDDM_FLOAT32", "1")
    assert not cpu_has_fast_bfloat16()
    assert choose_device("cpu").dtype_name == "float32"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_uses_the_precision_of_the_device(dtype: torch.dtype):
    device = device_module.ComputeDevice(torch.device("cpu"), dtype, "CPU")
    with device.autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype is dtype
