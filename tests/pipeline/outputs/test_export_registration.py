"""Do labels lie over the image in every program that reads an export?

A slide shows dots at known places; its labels are discs around the same places. Both go
through a store and its exports, and are found again by our reader, by ome-zarr-py and by
napari-ome-zarr. World coordinates are micrometers from the center of level-0 pixel (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from ome_zarr_models.v04.image import Image as Image04
from ome_zarr_models.v05.image import Image as Image05

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.geometry import Window
from napari_fddm.core.tiling import TileGrid
from napari_fddm.interop import ome_zarr
from napari_fddm.pipeline.outputs import export_version
from napari_fddm.pipeline.store import AnalysisStore, StoreGeometries
from napari_fddm.pipeline.tissue.overview import iter_blocks
from napari_fddm.slides import ArraySlide, open_slide
from tests.support.slides import binned, centroid

if TYPE_CHECKING:
    from pathlib import Path

LABEL_UM = 4.0
SIZE_UM = (1203.0, 1365.0)  # no whole number of labels
TILE_UM = 256.0
DOTS_UM = [(120.3, 141.8), (140.6, 1250.2), (1100.9, 150.4), (1090.5, 1263.7), (631.0, 690.5)]
SIGMA_UM, RADIUS_UM = 18.0, 45.0
CLASSES = [2, 3, 4, 5, 6]
"""Label value of each disc; 1 is everywhere else."""
DOWNSAMPLES = {1.0: (), 2.0: (), 3.999: (2,), 4.0: (2, 4), 16.0: (4, 16)}
"""Level-0 px per label, and the slide's coarser levels."""
HALF = 0.5
EXACT = 0.1
"""Both in labels. Discs and gray levels are rounded; coarser levels also vote, where the
upper left wins a tie."""


@dataclass
class Layer:
    """A pyramid with, per level, where pixel (i, j) lies: world = scale * (i, j) + shift."""

    levels: list[np.ndarray]
    places: list[tuple[np.ndarray, np.ndarray]]

    def world_of(self, level: int, index: tuple[float, float]) -> np.ndarray:
        scale, shift = self.places[level]
        return scale * np.array(index) + shift


def paint(mpp: float) -> np.ndarray:
    """Return a slide, (h, w, 3), with a dark dot at each place."""
    shape = [round(n / mpp) for n in SIZE_UM]
    image = np.full((*shape, 3), 255, np.uint8)
    reach = round(4 * SIGMA_UM / mpp)
    for y, x in DOTS_UM:
        top, left = round(y / mpp) - reach, round(x / mpp) - reach
        rows = np.arange(top, top + 2 * reach) + 0.5
        cols = np.arange(left, left + 2 * reach) + 0.5
        bell = np.exp(-((rows * mpp - y) ** 2)[:, None] / (2 * SIGMA_UM**2))
        bell = bell * np.exp(-((cols * mpp - x) ** 2) / (2 * SIGMA_UM**2))
        gray = (255 - 230 * bell).round().astype(np.uint8)
        image[top : top + 2 * reach, left : left + 2 * reach] = gray[..., None]
    return image


def truth(shape: tuple[int, int]) -> np.ndarray:
    """Return the labels, straight from the places in µm."""
    ys, xs = ((np.arange(n) + 0.5) * LABEL_UM for n in shape)
    labels = np.ones(shape, np.uint8)
    for (y, x), value in zip(DOTS_UM, CLASSES, strict=True):
        labels[np.hypot((ys - y)[:, None], xs - x) < RADIUS_UM] = value
    return labels


def tile_class(row: int, col: int) -> int:
    return 1 + (3 * row + col) % 7


def run(path: Path, downsample: float) -> None:
    """Leave a store as a run of the refined stage would."""
    mpp = LABEL_UM / downsample
    full = paint(mpp)
    slide = ArraySlide([full, *(binned(full, n) for n in DOWNSAMPLES[downsample])], mpp=mpp)
    grid = TileGrid(slide.levels[0].shape, mpp, 1.0)
    geometries = StoreGeometries.of_grid(grid, LABEL_UM)
    with AnalysisStore.create(
        path, slide_info={"name": "dots"}, geometries=geometries, table=OSTEOSARCOMA, provenance={}
    ) as store:
        for window, rgb, _ in iter_blocks(slide, geometries.label):
            assert rgb is not None
            store.maps.write_overview(window, rgb)
        tiles = np.argwhere(np.ones(geometries.tile.shape, bool))
        probs = np.zeros((len(tiles), 7), np.float32)
        probs[np.arange(len(tiles)), [tile_class(*t) - 1 for t in tiles.tolist()]] = 1
        per_tile = geometries.cells_per_tile
        cells = probs[:, :, None, None].repeat(per_tile, 2).repeat(per_tile, 3)
        store.maps.write_tiles(tiles, probs, cells, cells[:, :6])
        whole, every_cell = (
            Window(0, 0, *g.shape) for g in (geometries.label, geometries.cell)
        )  # fmt: skip
        store.maps.write_refined(
            whole, truth(geometries.label.shape), every_cell,
            np.full((7, *geometries.cell.shape), 1 / 7, np.float32),
        )  # fmt: skip
        store.finish()


@pytest.fixture(scope="module", params=DOWNSAMPLES)
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("stores") / "dots.fddm.ome.zarr"
    run(path, request.param)
    return path, LABEL_UM / request.param


@pytest.fixture(scope="module", params=["0.5", "0.4"])
def exported(stored: Any, request: pytest.FixtureRequest) -> Any:
    path, mpp = stored
    out = path.with_name(f"out-{request.param}.ome.zarr")
    with AnalysisStore.open(path) as store:
        export_version(store, out, version=request.param)
    return out, request.param, mpp


def check(
    image: Layer, labels: Layer, mpp: float, *, absolute: tuple[float, float] = (EXACT, HALF)
) -> None:
    """Find every disc on its dot, and both where they are, at both levels."""
    assert [a.shape[-2:] for a in image.levels] == [a.shape for a in labels.levels]
    assert len(image.levels) == 2
    for level, (pixels, values) in enumerate(zip(image.levels, labels.levels, strict=True)):
        pitch = LABEL_UM * 2**level
        rgb = np.moveaxis(pixels, 0, 2)
        for (y, x), value in zip(DOTS_UM, CLASSES, strict=True):
            place = np.array([y, x]) - mpp / 2
            disc = np.argwhere(values == value).mean(axis=0)
            dot = around(rgb, disc, round(RADIUS_UM * 2 / pitch))
            found = [labels.world_of(level, disc), image.world_of(level, dot)]
            assert np.abs(found[0] - found[1]).max() < (EXACT, HALF)[level] * pitch
            for world in found:
                assert np.abs(world - place).max() < absolute[level] * pitch


def around(rgb: np.ndarray, middle: np.ndarray, reach: int) -> tuple[float, float]:
    """Return the index (y, x) of the center of the dot near a pixel."""
    y, x = (max(0, round(float(n)) - reach) for n in middle)
    found = centroid(rgb[y : y + 2 * reach + 1, x : x + 2 * reach + 1])
    return y + found[0] - 0.5, x + found[1] - 0.5


def check_tiles(patch: Layer, mpp: float) -> None:
    """Read the tiles' map at places all over the slide."""
    ys, xs = (np.arange(3.0, n - 3.0, 11.0) for n in SIZE_UM)
    for y in ys.tolist():
        for x in xs.tolist():
            if min((y % TILE_UM, TILE_UM - y % TILE_UM, x % TILE_UM, TILE_UM - x % TILE_UM)) < 2.1:
                continue  # on the border of two tiles either may be drawn
            scale, shift = patch.places[0]
            row, col = ((np.array([y, x]) - mpp / 2 - shift) / scale).round().astype(int)
            assert patch.levels[0][row, col] == tile_class(int(y // TILE_UM), int(x // TILE_UM))


def test_another_library_calls_it_valid(exported: Any) -> None:
    path, version, _ = exported
    model = Image05 if version == "0.5" else Image04
    image = model.from_zarr(zarr.open_group(path, mode="r"))
    assert image.labels is not None
    listed = image.labels.attributes.ome if version == "0.5" else image.labels.attributes
    assert list(listed.labels) == ["patch", "refined", "corrected"]


def test_our_own_reader(stored: Any, exported: Any) -> None:
    path, version, mpp = exported
    if version == "0.4":
        with open_slide(path) as slide:  # only the image: it has no store in it
            assert slide.mpp.value == pytest.approx(LABEL_UM)
            with AnalysisStore.open(stored[0]) as store:
                np.testing.assert_array_equal(np.asarray(slide.as_dask()[0]), store.maps.overview())
        return
    with AnalysisStore.open(path) as store:
        image = store.maps.overview()
        np.testing.assert_array_equal(store.labels("corrected"), store.labels("refined"))
        geometry = store.geometries.label
    data = ome_zarr.read_labels(path, "refined")
    assert (data.geometry, data.exact) == (geometry, True)
    scale, shift = np.array(geometry.scale), np.array(geometry.translate)
    for (y, x), value in zip(DOTS_UM, CLASSES, strict=True):
        disc = np.argwhere(data.labels == value).mean(axis=0)
        dot = np.array(around(image, disc, round(RADIUS_UM * 2 / LABEL_UM)))
        for index in (disc, dot):
            world = scale * index + shift
            assert np.abs(world - (np.array([y, x]) - mpp / 2)).max() < EXACT * LABEL_UM


def test_ome_zarr_py(exported: Any) -> None:
    path, _, mpp = exported
    nodes = {node.zarr.basename(): node for node in Reader(parse_url(path))()}
    layers = {}
    for name in (path.name, "patch", "refined", "corrected"):
        steps = nodes[name].metadata["coordinateTransformations"]
        layers[name] = Layer(
            [np.asarray(a) for a in nodes[name].data],
            [
                (np.array(level[0]["scale"][-2:]), np.array(level[1]["translation"][-2:]))
                for level in steps
            ],
        )
    check(layers[path.name], layers["refined"], mpp)
    check(layers[path.name], layers["corrected"], mpp)
    check_tiles(layers["patch"], mpp)
    colors = nodes["refined"].metadata["color"]
    for tissue in OSTEOSARCOMA:
        assert [round(255 * c) for c in colors[tissue.value]] == [*tissue.display_rgb, 255]
        assert nodes["refined"].metadata["properties"][tissue.value]["name"] == tissue.name


def test_napari_ome_zarr(exported: Any) -> None:
    """It (0.10.0) leaves translations out, and napari stretches coarser levels to one size.

    Both move the image and its labels alike, the latter by up to a label at the far edge.
    """
    plugin = pytest.importorskip("napari_ome_zarr")
    path, _, mpp = exported
    layers = {}
    for data, options, kind in plugin.napari_get_reader(str(path))(str(path)):
        levels = [np.asarray(a) for a in data]
        factors = [np.array(levels[0].shape[-2:]) / a.shape[-2:] for a in levels]
        scale = np.array(options["scale"])
        shift = options["affine"].translate
        assert np.allclose(options["affine"].linear_matrix, np.eye(2))
        # napari lays the levels of a pyramid edge on edge.
        places = [(scale * f, shift + scale * (f - 1) / 2) for f in factors]
        name = "image" if kind == "image" else options["name"].rsplit("/", 1)[-1]
        layers[name] = Layer(levels, places)
        if kind == "labels":
            assert options["properties"]["name"][1:] == [c.name for c in OSTEOSARCOMA]
            for tissue in OSTEOSARCOMA:
                found = [round(255 * c) for c in options["colormap"][tissue.value]]
                assert found == [*tissue.display_rgb, 255]
    assert sorted(layers) == ["corrected", "image", "patch", "refined"]
    for name in ("refined", "corrected", "patch"):
        for one, other in zip(layers[name].places, layers["image"].places, strict=True):
            assert np.array_equal(one, other)
    scale, shift = layers["image"].places[0]
    assert np.abs(shift + mpp / 2 - LABEL_UM / 2).max() < 0.5 * LABEL_UM
    check(layers["image"], layers["refined"], mpp, absolute=(HALF + EXACT, 1.0))
    check(layers["image"], layers["corrected"], mpp, absolute=(HALF + EXACT, 1.0))


def test_both_versions_hold_the_same_values(stored: Any, tmp_path: Path) -> None:
    path, _ = stored
    with AnalysisStore.open(path) as store:
        for version in ("0.4", "0.5"):
            export_version(store, tmp_path / f"{version}.zarr", version=version)
    old, new = (zarr.open_group(tmp_path / f"{v}.zarr", mode="r") for v in ("0.4", "0.5"))
    assert (old.metadata.zarr_format, new.metadata.zarr_format) == (2, 3)
    for part in ("", "labels/patch/", "labels/refined/", "labels/corrected/"):
        for level in ("0", "1"):
            one, other = old[f"{part}{level}"], new[f"{part}{level}"]
            assert one.metadata.dimension_separator == "/"
            np.testing.assert_array_equal(one[...], other[...])


def test_dots_are_far_enough_apart() -> None:
    for one, other in pairwise(sorted(DOTS_UM)):
        assert np.hypot(*np.subtract(one, other)) > 2 * RADIUS_UM + 8 * SIGMA_UM
