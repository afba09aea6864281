"""The process that holds OpenSlide: it answers what `handle.IsolatedOpenSlide` asks.

    python -m napari_fddm.slides.isolated.child

Requests are lines of JSON on its standard input; an answer is a line of JSON, and behind
it as many bytes of pixels as it says. Nothing of it is pickled: this process reads files
that others made.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.outside.json_files import parse_json

if TYPE_CHECKING:
    from openslide import OpenSlide
    from PIL.Image import Image

Answer = tuple[dict[str, Any], bytes]


def facts(slide: OpenSlide) -> dict[str, Any]:
    """Return what is known of a slide without reading pixels."""
    return {
        "dimensions": slide.dimensions,
        "level_dimensions": slide.level_dimensions,
        "level_downsamples": slide.level_downsamples,
        # A garbled file can list keys that have no value.
        "properties": {
            k: v for k in slide.properties if (v := slide.properties.get(k)) is not None
        },
        "associated": sorted(slide.associated_images),
    }


def pixels(image: Image) -> Answer:
    """Return an RGBA image as an answer."""
    rgba = np.asarray(image.convert("RGBA"))
    return {"shape": rgba.shape[:2]}, rgba.tobytes()


def answer(slide: OpenSlide, request: dict[str, Any]) -> Answer:
    """Answer a request about an open slide."""
    if "associated" in request:
        return pixels(slide.associated_images[request["associated"]])
    if "region" in request:
        x, y, level, width, height = request["region"]
        return pixels(slide.read_region((x, y), level, (width, height)))
    return facts(slide), b""


def serve() -> None:
    """Open the file that the first line names, and answer until the input ends."""
    import openslide

    # What C libraries print must not get among the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    slide: OpenSlide | None = None
    path = ""
    while True:
        request = requests.get()
        path = os.fsdecode(bytes.fromhex(request["open"])) if "open" in request else path
        try:
            slide = slide or openslide.OpenSlide(path)
            head, data = answer(slide, request)
        except Exception as error:  # noqa: BLE001 - it is told to the other side
            head, data = {"error": str(error) or type(error).__name__}, b""
            slide = None  # a handle that failed once fails in every later call
        answers.write(json.dumps(head).encode() + b"\n" + data)
        answers.flush()


def _listen(requests: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Pass requests on; end the process with its input, also while the library is at work."""
    for line in sys.stdin.buffer:
        requests.put(parse_json(line, "a request"))
    os._exit(0)


if __name__ == "__main__":
    serve()
