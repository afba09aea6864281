"""The engine process of the window: it runs analyses and learns from corrections.

python -m napari_fddm.training.engine ADDRESS FAMILY
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fddm.core.config import load_config
from napari_fddm.pipeline.engine import server

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_fddm.core.protocols import Slide
    from napari_fddm.models.bundle import LoadedModel
    from napari_fddm.pipeline.engine.messages import AdaptRequest


def adapting(
    slide: Slide, model: LoadedModel, request: AdaptRequest
) -> Generator[Any, None, dict[str, Any]]:
    """Do what a request asks for; returns `AdaptResult.to_json`."""
    from napari_fddm.training.adapt.learn import adapt_events

    result = yield from adapt_events(
        slide,
        store=request.store,
        model=model,
        model_name=request.model,
        name=request.name,
        lora=request.lora,
        batch_size=load_config(**request.config).batch_size,
    )
    return result.to_json()


if __name__ == "__main__":
    server.main(adapting)
