"""Composites and their maps: truth matches pixels, and heads have not seen their fold."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import Window
from napari_fddm.core.tiling import TileGrid
from napari_fddm.slides.array import ArraySlide
from napari_fddm.slides.synthetic.slide import texture_sheet
from napari_fddm.training.data.majority import cell_majority, tile_majority
from napari_fddm.training.data.stains import SHIFTED, restained
from napari_fddm.training.data.textures import Composer, Texture, read_textures, smooth_mask
from napari_fddm.training.regions.coarse import classify_window
from napari_fddm.training.regions.composites import build_composites, texture_folds
from napari_fddm.training.regions.files import read_regions
from napari_fddm.training.regions.fold_heads import FoldHeads, LinearHead


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def flat_textures(folder, per_case=2):
    """Write a manifest of one-colored tiles: the color says the class, and nothing else."""
    colors = {"non_tumor": (10, 200, 30), "necrosis": (200, 20, 60), "viable_tumor": (30, 40, 220)}
    lines = ["file,label3,patient,slide"]
    for case in ("P1", "P2", "P3"):
        for label, color in colors.items():
            for i in range(per_case):
                name = f"{case}-{label}-{i}.png"
                Image.new("RGB", (90, 70), color).save(folder / name)
                lines.append(f"{name},{label},{case},{case}/S{i}")
    (folder / "manifest.csv").write_text("\n".join(lines))
    return folder / "manifest.csv"


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


def test_a_texture_sheet_is_of_one_class_and_reproducible():
    one, same, other = (texture_sheet(3, (64, 96), mpp=1.0, seed=seed) for seed in (1, 1, 2))
    assert one.shape == (64, 96, 3)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    glass = texture_sheet(1, (64, 64), mpp=1.0, seed=1)
    assert glass.min() > 225
    assert one.mean() < glass.mean() - 20


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


@pytest.mark.parametrize("text", ["file,label3\n", "file,label3,patient,slide\na,odd,P,S\n"])
def test_a_table_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "m.csv").write_text(text + "a,necrosis\n")
    with pytest.raises(ConfigError, match="no table of tiles"):
        read_textures(tmp_path / "m.csv")


def test_a_missing_tile_is_named(tmp_path, rng):
    texture = Texture(tmp_path / "gone.png", 3, "P", "S")
    composer = Composer({v: [texture] for v in range(1, 8)}, size=64)
    with pytest.raises(ConfigError, match=r"gone\.png"):
        composer.compose(rng)


def test_cell_truth_is_the_majority_and_unknown_where_most_is(rng):
    labels = rng.integers(0, 4, (64, 96)).astype(np.uint8)
    labels[:32, :32] = 0
    labels[:3, :32] = 2
    found = cell_majority(labels, 3)
    assert found[0, 0] == 0
    for row, col in ((0, 1), (1, 2), (1, 0)):
        block = labels[row * 32 : row * 32 + 32, col * 32 : col * 32 + 32]
        assert found[row, col] == np.bincount(block[block > 0], minlength=4)[1:].argmax() + 1


def test_tile_truth_counts_known_cells(rng):
    truth = rng.integers(0, 4, (16, 24)).astype(np.uint8)
    truth[:8, :8] = 0
    found = tile_majority(truth, 3)
    assert found[0, 0] == 0
    block = truth[8:, 16:]
    assert found[1, 2] == np.bincount(block[block > 0], minlength=4)[1:].argmax() + 1


def test_a_linear_head_separates_what_is_separable(rng):
    centers = 4 * rng.standard_normal((3, 10))
    truth = rng.integers(-1, 3, 600)
    x = centers[truth] + rng.standard_normal((600, 10))
    head = LinearHead.fitted(x.astype(np.float32), truth.astype(np.int64), 3)
    probs = head.probabilities(x.T.reshape(10, 20, 30).astype(np.float16))
    known = truth >= 0
    assert (probs.reshape(3, -1).argmax(axis=0)[known] == truth[known]).mean() > 0.95
    assert np.allclose(probs.sum(axis=0), 1, atol=5e-3)
    with pytest.raises(ConfigError, match="there are none"):
        LinearHead.fitted(x.astype(np.float32), np.full(600, -1), 3)


class ColorModel:
    """Embeds a tile and its cells by their mean color, three times over."""

    calls = 0

    def embed(self, tiles):
        ColorModel.calls += len(tiles)
        cells = np.tile(tiles.reshape(len(tiles), 8, 32, 8, 32, 3).mean(axis=(2, 4)), 3)
        return cells.mean(axis=(1, 2)).astype("f4"), cells.transpose(0, 3, 1, 2).astype("f4")

    classify = embed


def test_overlapping_tiles_lie_where_they_are_said_to(rng):
    image = rng.integers(0, 255, (768, 1024, 3)).astype(np.uint8)
    grid = TileGrid(image.shape[:2], 1.0, 1.0)
    maps = classify_window(
        ArraySlide(image, mpp=1.0), grid, Window(1, 0, 2, 3), ColorModel(), 9, shifted=True
    )
    assert maps.shifted.shape == (9, 3, 5)
    for i, j in np.ndindex(3, 5):
        y, x = 256 + 128 * i, 128 * j
        mean = image[y : y + 256, x : x + 256].mean(axis=(0, 1))
        assert np.allclose(maps.shifted[:3, i, j], mean, atol=0.1)
    assert np.array_equal(maps.tiles, maps.shifted[:, ::2, ::2])


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


def test_heads_are_applied_to_every_map(rng):
    grid = TileGrid((512, 512), 1.0, 1.0)
    image = np.zeros((512, 512, 3), np.uint8)
    image[:, 256:] = 200
    truth = np.ones((16, 16), np.uint8)
    truth[:, 8:] = 2
    maps = classify_window(
        ArraySlide(image, mpp=1.0), grid, Window(0, 0, 2, 2), ColorModel(), 9, shifted=True
    )
    said = FoldHeads.fitted([(maps, truth)], 2).apply(maps)
    assert np.array_equal(said.cells.argmax(axis=0) + 1, truth)
    assert np.array_equal(said.tiles.argmax(axis=0), [[0, 1], [0, 1]])
    assert said.shifted.shape == (2, 3, 3)


def test_restaining_scales_optical_density(rng):
    pixels = rng.integers(20, 230, (5, 6, 3)).astype(np.uint8)
    assert np.array_equal(restained(pixels, np.ones(3)), pixels)
    gains = np.array([1.5, 0.6, 1.0])
    density = -np.log((pixels + 1.0) / 256)
    found = -np.log((restained(pixels, gains) + 1.0) / 256)
    coarse = 0.6 / (256 * np.exp(-density * gains))  # half a gray value, and a bit
    assert (np.abs(found - density * gains) <= coarse).all()
    drawn = np.stack([SHIFTED.drawn(rng) for _ in range(200)])
    assert ((drawn < 0.65 * 1.2) | (drawn > 1.45 * 0.8)).all()
