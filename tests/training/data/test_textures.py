"""Composites and their maps: truth matches pixels, and heads have not seen their fold."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_fddm.core.errors import ConfigError
from napari_fddm.training.data.textures import Composer, Texture, read_textures, smooth_mask
from tests.support.training import flat_textures


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_the_truth_of_a_composite_matches_its_pixels(tmp_path, rng):
    textures = read_textures(flat_textures(tmp_path))
    by_value = {v: [t for t in textures if t.value == v] for v in {t.value for t in textures}}
    image, truth = Composer(by_value, size=256).compose(rng)
    assert image.shape == (256, 256, 3)
    assert set(np.unique(truth)) <= set(range(1, 8))
    for value, tiles in by_value.items():
        color = np.asarray(Image.open(tiles[0].path))[0, 0]
        assert np.array_equal(truth == value, (image == color).all(axis=-1))


def test_masks_are_smooth_and_depend_on_the_seed():
    masks = [smooth_mask(np.random.default_rng(seed), (512, 640), 7) for seed in (1, 1, 2)]
    assert masks[0].shape == (512, 640)
    assert np.array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[0], masks[2])
    edges = (np.diff(masks[0], axis=0) != 0).mean() + (np.diff(masks[0], axis=1) != 0).mean()
    assert 0 < edges < 0.05


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,label3\na,necrosis\n", "lacks patient, slide"),
        ("file,label3,patient,slide\na,odd,P,S\n", "line 2 of m.csv: the label 'odd'"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, text, words):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_textures(tmp_path / "m.csv")


def test_a_missing_tile_is_named(tmp_path, rng):
    texture = Texture(tmp_path / "gone.png", 3, "P", "S")
    composer = Composer({v: [texture] for v in range(1, 8)}, size=64)
    with pytest.raises(ConfigError, match=r"gone\.png"):
        composer.compose(rng)
