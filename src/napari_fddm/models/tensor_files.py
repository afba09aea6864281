"""Write tensors as a safetensors file, whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_fddm.core.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch


def save_tensors(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write tensors as safetensors; the file is whole or absent.

    The file has the permissions of the user's other files; those that safetensors itself
    writes can be read by their owner only, which does not suit a shared folder.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    from safetensors.torch import save

    # Cloned, because safetensors refuses tensors that share memory.
    own = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    write_atomic(path, save(own))
