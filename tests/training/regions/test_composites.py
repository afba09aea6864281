"""Composites: slides are not divided between folds, and heads have not seen their fold."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.errors import ConfigError
from napari_fddm.training.data.textures import Composer, read_textures
from napari_fddm.training.regions import read_regions
from napari_fddm.training.regions.composites import build_composites, texture_folds
from tests.support.embedding import ColorModel
from tests.support.training import flat_textures


def test_what_is_held_out_is_for_testing_alone_and_slides_are_not_divided(tmp_path):
    textures = read_textures(flat_textures(tmp_path, per_case=3))
    folds = texture_folds(textures, ["P3", "P1/S0"])
    sides = {
        name: {t.slide for tiles in fold.values() for t in tiles} for name, fold in folds.items()
    }
    assert sides["test"] == {"P3/S0", "P3/S1", "P3/S2", "P1/S0"}
    assert sides["A"].isdisjoint(sides["B"])
    assert sides["A"] | sides["B"] == {"P1/S1", "P1/S2", "P2/S0", "P2/S1", "P2/S2"}
    for fold in folds.values():
        assert len(fold) == 3
    with pytest.raises(ConfigError, match="P9"):
        texture_folds(textures, ["P9"])


@pytest.mark.thorough
def test_composites_are_built_out_of_fold_and_once(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_fddm.training.regions.composites.Composer", SmallComposer)
    textures = read_textures(flat_textures(tmp_path))
    folds = texture_folds(textures, ["P3"])
    build = {"train": 8, "test": 1, "stage1": "colors", "shifted_tests": True}
    train, test = build_composites(tmp_path / "out", folds, ColorModel(), 9, **build)
    slides = read_regions(train)[1] + read_regions(test)[1]
    seen = {slide.meta.case: slide.meta.stage1_cases for slide in slides}
    assert seen == {
        "textures-A": ("textures-B",),
        "textures-B": ("textures-A",),
        "textures-test": ("textures-A", "textures-B"),
    }
    assert len(slides) == 9
    assert slides[-1].coarse.shifted is not None
    # Colors tell the real classes apart, so heads that have seen them can be right.
    real = np.isin(slides[-1].truth, list(folds["test"]))
    said = slides[-1].coarse.cells.argmax(axis=0) + 1
    assert (said[real] == slides[-1].truth[real]).mean() > 0.85
    calls = ColorModel.calls
    build_composites(tmp_path / "out", folds, ColorModel(), 9, **build)
    assert ColorModel.calls == calls


class SmallComposer(Composer):
    def __init__(self, textures):
        super().__init__(textures, size=512)
