"""Cross-validation on the real tiles of the bundled model: folds by patient and by slide."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.training.stage1.scores import scores_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fddm.training.data.textures import Texture

Row = dict[str, object]
"""A row of a manifest."""
SLIDE_GROUPS = 3


def real_rows(tiles: Sequence[Texture], *, test: Sequence[Texture] = (), by: str = "") -> list[Row]:
    """Return manifest rows of real tiles.

    Parameters
    ----------
    tiles : sequence of Texture
        All of them.
    test : sequence of Texture
        Those to test on; the others are for training.
    by : str
        "slide" makes each slide a case: the test is then on a new slide, whose patient may
        be among those of the training.
    """
    return [
        {
            "tile": tile.path.absolute(),
            "label": tile.value,
            "case": tile.slide if by == "slide" else tile.case,
            "split": "test" if tile in test else "train",
        }
        for tile in tiles
    ]


def held_out_groups(tiles: Sequence[Texture]) -> dict[str, list[list[Texture]]]:
    """Return the groups that are held out in turn: one for each patient, and three of slides."""
    patients: dict[str, list[Texture]] = defaultdict(list)
    for tile in tiles:
        patients[tile.case].append(tile)
    slides = sorted({tile.slide for tile in tiles})
    groups = [set(slides[i::SLIDE_GROUPS]) for i in range(SLIDE_GROUPS)]
    by_slide = [[tile for tile in tiles if tile.slide in group] for group in groups]
    return {"patient": list(patients.values()), "slide": by_slide}


def pooled(folds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Sum the confusion matrices of folds, and return the scores of the sum.

    Parameters
    ----------
    folds : sequence of dict
        ``metrics["test"]`` of their cards.

    Returns
    -------
    dict
        Scores of "model" and of "color alone", see `scores_of`.
    """
    found: dict[str, Any] = {}
    for name in ("model", "color alone"):
        matrix = np.sum([np.array(fold[name]["confusion"]) for fold in folds], axis=0)
        found[name] = scores_of(matrix, OSTEOSARCOMA.shorts)
    return found
