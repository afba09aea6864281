"""Choose the device and the precision in which the networks run."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from napari_fddm.core.errors import ConfigError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


@dataclass(frozen=True, slots=True)
class ComputeDevice:
    """A device and the precision that is fastest on it.

    Attributes
    ----------
    device : torch.device
        Where tensors live.
    dtype : torch.dtype
        Precision of matrix products; float32 means no autocast.
    title : str
        Text for the user, e.g. "CPU, bfloat16, 2 threads".
    """

    device: torch.device
    dtype: torch.dtype
    title: str

    @property
    def dtype_name(self) -> str:
        """Name of the precision, e.g. "bfloat16"."""
        return str(self.dtype).removeprefix("torch.")

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which the networks are called."""
        return torch.autocast(
            self.device.type, dtype=self.dtype, enabled=self.dtype is not torch.float32
        )


def choose_device(wanted: str = "auto") -> ComputeDevice:
    """Choose cuda, then mps, then cpu, or what the user asked for.

    Parameters
    ----------
    wanted : str
        "auto", "cpu", "mps", "cuda" or "cuda:N".

    Raises
    ------
    ConfigError
        If the wanted device is unknown or not there: no silent fall-back to the CPU.
    """
    name = _best_available() if wanted == "auto" else wanted
    if name == "cpu":
        return _cpu()
    if name == "mps":
        return _mps()
    if re.fullmatch("cuda(:[0-9]+)?", name):
        return _cuda(name)
    raise ConfigError(
        f"there is no device {wanted!r}.", hint="Known are auto, cpu, mps, cuda and cuda:N."
    )


def available_devices() -> tuple[str, ...]:
    """Return what `choose_device` can be asked for on this computer."""
    found = ["cpu"]
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return tuple(found)


def _best_available() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _cuda(name: str) -> ComputeDevice:
    index = int(name.partition(":")[2] or 0)
    if not torch.cuda.is_available() or index >= torch.cuda.device_count():
        raise ConfigError(
            f"the device {name!r} is not available: torch sees "
            f"{torch.cuda.device_count()} CUDA devices.",
            hint="Use --device auto, or install a torch build for your GPU.",
        )
    device = torch.device("cuda", index)
    dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return ComputeDevice(device, dtype, f"{torch.cuda.get_device_name(device)}, {dtype}")


def _mps() -> ComputeDevice:
    if not torch.backends.mps.is_available():
        raise ConfigError(
            "the device 'mps' is not available on this computer.", hint="Use --device auto."
        )
    return ComputeDevice(torch.device("mps"), torch.float32, "Apple GPU (mps), float32")


def _cpu() -> ComputeDevice:
    dtype = torch.bfloat16 if cpu_has_fast_bfloat16() else torch.float32
    name = str(dtype).removeprefix("torch.")
    count = torch.get_num_threads()
    title = f"CPU, {name}, {count} thread{'s' if count > 1 else ''}"
    return ComputeDevice(torch.device("cpu"), dtype, title)


def cpu_has_fast_bfloat16() -> bool:
    """Return whether the processor multiplies bfloat16 in hardware (AVX512-BF16 or AMX)."""
    if os.environ.get("NAPARI_FDDM_FLOAT32"):
        return False
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, check, lambda: False)()) for check in checks)
