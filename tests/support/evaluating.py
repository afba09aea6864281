"""Label maps as pictures, for tests of `evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_fddm.core.classes import OSTEOSARCOMA

if TYPE_CHECKING:
    from pathlib import Path

BG, VT, NC, FH, HC, IF, NT = OSTEOSARCOMA.values
PAPER = OSTEOSARCOMA.rgb_table(paper=True)


def save(path: Path, labels: np.ndarray, *, paper: bool = False) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(PAPER[labels] if paper else labels.astype(np.uint8)).save(path)
    return path


def of_pairs(*pairs: tuple[int, int, int], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction from (truth, predicted, cells)."""
    truth, said = (
        np.concatenate([np.full(pair[2], pair[k]) for pair in pairs]).reshape(-1, width)
        for k in (0, 1)
    )
    return truth, said


def demo(folder: Path) -> tuple[Path, Path]:
    """The slide that shows how the paper's counting flatters, as masks in its colors."""
    truth, said = of_pairs(
        (BG, BG, 100), (VT, VT, 10), (VT, NT, 40), (NT, NT, 30), (NT, VT, 20), width=20
    )
    return (
        save(folder / "pred" / "demo.png", said, paper=True),
        save(folder / "truth" / "demo.png", truth, paper=True),
    )


def bed(necrosis: int, total: int) -> np.ndarray:
    labels = np.full(total, VT)
    labels[:necrosis] = NC
    return labels.reshape(-1, 10)


def random_map(seed: int, shape: tuple[int, int] = (40, 60)) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(1, 8, (shape[0] // 5, shape[1] // 5))
    return np.kron(coarse, np.ones((5, 5), int))


def noisy(labels: np.ndarray, seed: int, share: float = 0.2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(labels.shape) < share, rng.integers(1, 8, labels.shape), labels)
