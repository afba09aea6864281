"""Region datasets of composites, with stage-1 heads fitted on other textures."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.tiling import CELL_PX
from napari_fddm.training.data.textures import COMPOSITE_MPP, Composer, Texture
from napari_fddm.training.regions.annotated_images import ImageSource, embedded_images, out_of_fold
from napari_fddm.training.regions.files import RegionSet, write_region_set, write_region_slide

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_fddm.training.regions.fold_heads import Embeds

TRAIN_FOLDS = ("A", "B")
TEST_FOLD = "test"


def texture_folds(
    textures: Sequence[Texture], held_out: Sequence[str]
) -> dict[str, dict[int, list[Texture]]]:
    """Distribute textures to two training folds and one test fold.

    Parameters
    ----------
    textures : sequence of Texture
        Real tiles.
    held_out : sequence of str
        Cases or slides whose tiles are used for testing only.

    Returns
    -------
    dict
        "A", "B" and "test" → label value → textures; no slide is in two folds.

    Raises
    ------
    ConfigError
        If there is no tile of a held-out case or slide.
    """
    unknown = set(held_out) - {t.case for t in textures} - {t.slide for t in textures}
    if unknown:
        raise ConfigError(f"no tile is from {', '.join(sorted(unknown))}.")
    folds: dict[str, dict[int, list[Texture]]] = {name: {} for name in (*TRAIN_FOLDS, TEST_FOLD)}
    counts: dict[tuple[int, str], int] = {}
    assigned: dict[str, str] = {}
    ordered = sorted(textures, key=lambda t: (t.value, t.slide, str(t.path)))
    for texture in ordered:
        if texture.case in held_out or texture.slide in held_out:
            fold = TEST_FOLD
        elif texture.slide in assigned:
            fold = assigned[texture.slide]
        else:  # the fold that has fewer tiles of this class
            fold = min(TRAIN_FOLDS, key=lambda name: counts.get((texture.value, name), 0))
            assigned[texture.slide] = fold
        counts[texture.value, fold] = counts.get((texture.value, fold), 0) + 1
        folds[fold].setdefault(texture.value, []).append(texture)
    return folds


def build_composites(
    folder: Path,
    folds: dict[str, dict[int, list[Texture]]],
    model: Embeds,
    width: int,
    *,
    train: int,
    test: int,
    stage1: str,
    shifted_tests: bool = False,
    seed: int = 60_000,
) -> tuple[Path, Path]:
    """Write a training and a test dataset of composites; embeddings that exist are kept.

    Parameters
    ----------
    folder : Path
        Parent of the datasets ``train`` and ``test`` and of the embeddings.
    folds : dict
        Result of `texture_folds`.
    model, width : Embeds, int
        The frozen backbone and the channels of its embeddings.
    train, test : int
        Number of composites; those for training take their textures from A and B in turn.
    stage1 : str
        Description of the backbone.
    shifted_tests : bool
        Also classify tiles that overlap by half, in the test composites.
    seed : int
        Seed of masks and textures.

    Returns
    -------
    tuple of Path
        The two datasets.
    """
    names = [(TRAIN_FOLDS[i % 2], i) for i in range(train)]
    names += [(TEST_FOLD, 100_000 + i) for i in range(test)]
    sources = [
        ImageSource(
            f"composite-{fold}-{number}",
            f"textures-{fold}",
            fold,
            partial(_compose, Composer(folds[fold]), seed + number),
        )
        for fold, number in names
    ]
    classes = len(OSTEOSARCOMA)
    embedded = []
    for part, shifted in ((sources[:train], False), (sources[train:], shifted_tests)):
        embedded += list(
            embedded_images(folder / "embedded", part, model, width, classes, shifted=shifted)
        )
    about = RegionSet(
        classes=OSTEOSARCOMA.shorts,
        cell_um=CELL_PX * COMPOSITE_MPP,
        title="composites of real tile textures under random masks",
    )
    plan = [("train", "A", ["B"]), ("train", "B", ["A"]), ("test", TEST_FOLD, [*TRAIN_FOLDS])]
    for name, fold, trained_on in plan:
        write_region_set(folder / name, about)
        for slide in out_of_fold(embedded, fold, trained_on, classes, stage1):
            write_region_slide(folder / name, slide)
    return folder / "train", folder / "test"


def _compose(composer: Composer, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return composer.compose(np.random.default_rng(seed))
