"""What a slide and a report tell a reader, as numbers and words."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.cli.info import slide_facts
from napari_fddm.core.errors import FddmError
from napari_fddm.slides import open_slide
from tests.fuzz.cases import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_fddm.core.protocols import Slide

PATCH = 40
MOST = 256
"""Pixels per side that are read of level 0: seeds have fewer."""


def read_slide(path: Path | str, opener: Callable[..., Slide] = open_slide) -> Outcome:
    """Open a slide, and read its level 0 patch by patch and the whole at a fourth."""
    with opener(path) as slide:
        facts = slide_facts(slide)
        json.dumps(facts)
        words = set(slide.warnings)
        height, width = facts["levels"][0]["shape"]
        numbers: dict[str, Any] = {
            "mpp": facts["mpp"],
            "mpp_source": facts["mpp_source"],
            "shape": (height, width),
        }
        window = (0, 0, min(height, MOST), min(width, MOST))
        numbers["level 0"] = _or_word(lambda: patches(slide.read_level(0, *window)), words)
        numbers["end"] = _or_word(
            lambda: patches(slide.read_level(0, height - PATCH, width - PATCH, PATCH, PATCH)), words
        )
        if height <= 4 * MOST and width <= 4 * MOST:
            numbers["a fourth"] = _or_word(
                lambda: patches(slide.read_scaled(slide.extent, 4.0)), words
            )
        words |= set(slide.warnings)  # those of reading
    return Outcome(numbers, frozenset(words))


def patches(image: np.ndarray) -> np.ndarray:
    """Return the mean colors of patches, shape (rows, cols, 3)."""
    rows, cols = (max(1, -(-n // PATCH)) for n in image.shape[:2])
    found = np.zeros((rows, cols, image.shape[2]))
    for row in range(rows):
        for col in range(cols):
            part = image[row * PATCH : (row + 1) * PATCH, col * PATCH : (col + 1) * PATCH]
            found[row, col] = part.reshape(-1, image.shape[2]).mean(axis=0) if part.size else 0
    return found


def of_report(report: dict[str, Any]) -> Outcome:
    """Return what a report says, its notes as words."""
    words = frozenset(str(note) for note in report.get("notes", ()))
    text = json.dumps({k: v for k, v in report.items() if k != "notes"}, sort_keys=True)
    return Outcome(json.loads(text), words)


def together(*outcomes: Outcome) -> Outcome:
    """Join what several readers were told; later ones may repeat numbers under other names."""
    numbers: dict[str, Any] = {}
    words: set[str] = set()
    for index, outcome in enumerate(outcomes):
        numbers |= {f"{key}" if not index else f"{key} ({index})": value
                    for key, value in outcome.numbers.items()}  # fmt: skip
        words |= outcome.words
    return Outcome(numbers, frozenset(words))


def digest(array: np.ndarray) -> str:
    """Return a short checksum of an array's shape and values."""
    return hashlib.sha256(repr(array.shape).encode() + array.tobytes()).hexdigest()[:16]


def _or_word(read: Callable[[], Any], words: set[str]) -> Any:
    try:
        return read()
    except FddmError as error:
        words.add(str(error))
        return None
