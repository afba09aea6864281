"""Entry point of the window's engine process, which runs analyses and learns from corrections.

python -m napari_fddm.training.engine ADDRESS FAMILY
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fddm.core.config import load_config
from napari_fddm.pipeline.engine import server

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_fddm.core.protocols import Slide
    from napari_fddm.models import LoadedModel
    from napari_fddm.pipeline.engine.messages import AdaptRequest


def adapt_on_request(
    slide: Slide, model: LoadedModel, request: AdaptRequest
) -> Generator[Any, None, dict[str, Any]]:
    """Learn from corrections as a request says, and return `AdaptResult.to_json`.

    Yields
    ------
    AdaptEvent
        For the window.
    """
    from napari_fddm.training.adapt import adapt_events

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
    server.main(adapt_on_request)
