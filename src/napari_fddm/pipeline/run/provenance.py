"""Collect the provenance of a run: slide, model, settings, device, versions of libraries."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import torch

from napari_fddm.core.provenance import Provenance

if TYPE_CHECKING:
    from napari_fddm.core.config import AnalysisConfig
    from napari_fddm.core.protocols import Slide
    from napari_fddm.models import LoadedModel
    from napari_fddm.pipeline.tissue.outline_mask import OutlineMask
    from napari_fddm.pipeline.tissue.user_mask import UserMask

VERSIONED_PACKAGES = ("napari-fddm", "torch", "timm", "peft", "diffusers", "numpy", "zarr")


def describe_run(
    slide: Slide,
    model: LoadedModel,
    config: AnalysisConfig,
    mask: UserMask | OutlineMask | None = None,
) -> Provenance:
    """Return everything that the result will depend on."""
    series = getattr(slide, "other_series", None)
    return Provenance(
        slide={
            "name": slide.name,
            "fingerprint": slide.fingerprint,
            "shape": list(slide.levels[0].shape),
            "mpp": slide.mpp.value,
            "mpp_source": slide.mpp.source,
            "backend": slide.backend,
        }
        | ({} if series is None else {"series": series}),
        model=dict(model.identity),
        config=config.model_dump(mode="json"),
        device=model.compute.title,
        dtype=model.compute.dtype_name,
        threads=torch.get_num_threads(),
        batch_size=config.batch_size,
        versions={name: _version(name) for name in VERSIONED_PACKAGES}
        | {"python": platform.python_version()},
        tissue=mask.record() if mask else {"method": config.tissue},
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
