"""A slide of two tissues that even a random network tells apart, analyzed and painted."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.edits import difference
from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.run.analyze import analyze
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.pipeline.store.strokes import confirmation_record
from napari_fddm.slides import ArraySlide
from tests.support.runs import drain, load_config

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_fddm.models import LoadedModel

BLOCK = 768  # px: three tiles along an edge
BLOCKS = 4
VIABLE, NECROSIS = 2, 3
CONFIG = load_config(batch_size=16, label_mpp=8.0, stage="patch", tissue="all")
LABELS_PER_BLOCK = BLOCK // 8


@cache
def two_tissues(seed: int = 0) -> np.ndarray:
    """Paint a chessboard of blue and of pink tissue, 1 µm per px, uint8 (h, w, 3); read-only."""
    rng = np.random.default_rng(seed)
    side = BLOCK * BLOCKS
    rows, cols = np.indices((side, side)) // BLOCK
    colors = np.array([[90, 60, 150], [225, 150, 190]], np.uint8)
    image = colors[(rows + cols) % 2].astype(np.int16)
    grain = rng.integers(-25, 26, (side // 8, side // 8, 3)).repeat(8, 0).repeat(8, 1)
    image = np.clip(image + grain, 0, 255).astype(np.uint8)
    image.flags.writeable = False
    return image


def open_tissues() -> ArraySlide:
    return ArraySlide(two_tissues(), mpp=1.0, name="two-tissues")


def truth_at(row: int, col: int) -> int:
    """Class value of a block."""
    return VIABLE if (row + col) % 2 == 0 else NECROSIS


def analyzed_store(path: Path, model: LoadedModel) -> Path:
    with open_tissues() as slide:
        drain(analyze(slide, store=path, model=model, config=CONFIG))
    return path


def paint_blocks(
    path: Path, blocks: Sequence[tuple[int, int]], *, side: int = 40, shift: int = 0
) -> None:
    """Paint squares in some blocks with their true class, as a window logs it.

    ``side`` and ``shift``, of their middle from the block's, are in label cells.
    """
    with AnalysisStore.open(path, "r+") as store:
        for row, col in blocks:
            margin = (LABELS_PER_BLOCK - side) // 2 + shift
            corner = [n * LABELS_PER_BLOCK + margin for n in (row, col)]
            window = Window(*corner, side, side)
            before = store.labels("corrected")
            after = before.copy()
            after[window.slices] = truth_at(row, col)
            same = np.where(before == after, before, 0)[window.slices]
            edit = difference(before, after, window)
            if edit is not None:
                store.corrections.append_edit(edit)
            record = confirmation_record(same, before.shape, window)
            if record is not None:
                store.records.append(record)
