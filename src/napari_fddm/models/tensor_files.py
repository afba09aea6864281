"""Writing tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_fddm.core.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch


def save_tensors(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write tensors as safetensors; the file is whole or absent.

    safetensors' own files can be read by nobody but their writer, which is no use in a
    folder that people share; this one has the rights that the user's files have.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    from safetensors.torch import save

    # Cloned, for tensors that share memory are refused.
    own = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    write_atomic(path, save(own))
