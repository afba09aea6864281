"""Reading tiles of 256 px at 1 µm/px: our reader against its parts and its peers.

Each group is one run on one file; read the ratios, not the seconds.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tifffile

from napari_fddm.core.tiling import TileGrid
from napari_fddm.slides.synthetic import SyntheticSlide
from napari_fddm.slides.tiff import TiffSlide

SIDE_PX = 4096


@pytest.fixture(scope="module")
def slide_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "slide.tif"
    SyntheticSlide(SIDE_PX, SIDE_PX, mpp=1.0, seed=1).write_tiff(path, pyramid="pages")
    return path


@pytest.fixture
def next_tile():
    grid = TileGrid((SIDE_PX, SIDE_PX), 1.0, 1.0)
    rows, cols = grid.shape
    places = itertools.cycle([(r, c) for r in range(rows) for c in range(cols)])
    return lambda: grid.tile(*next(places)).region


@pytest.mark.benchmark(group="read a tile")
def test_ours(benchmark, slide_path, next_tile):
    with TiffSlide(slide_path, mpp=1.0) as slide:
        slide._cache._limit = 0  # every tile is decoded, none remembered
        assert benchmark(lambda: slide.read_region(next_tile(), 1.0)).shape == (256, 256, 3)


@pytest.mark.benchmark(group="read a tile")
def test_reference_tifffile_decodes_one_segment(benchmark, slide_path):
    with tifffile.TiffFile(slide_path) as file:
        page = file.pages[0]
        handle = file.filehandle
        index = itertools.cycle(range(len(page.dataoffsets)))

        def decode():
            i = next(index)
            handle.seek(page.dataoffsets[i])
            data = handle.read(page.databytecounts[i])
            return page.decode(data, i, jpegtables=page.jpegtables)[0]

        assert benchmark(decode).shape[-1] == 3


@pytest.mark.benchmark(group="read a tile")
def test_openslide(benchmark, slide_path, next_tile):
    openslide = pytest.importorskip("openslide")
    with openslide.OpenSlide(slide_path) as slide:

        def read():
            region = next_tile()
            picture = slide.read_region((int(region.x), int(region.y)), 0, (256, 256))
            return np.asarray(picture)[..., :3]

        assert benchmark(read).shape == (256, 256, 3)


@pytest.mark.benchmark(group="read a tile")
def test_dask(benchmark, slide_path, next_tile):
    with TiffSlide(slide_path, mpp=1.0) as slide:
        level = slide.as_dask()[0]

        def read():
            region = next_tile()
            y, x = int(region.y), int(region.x)
            return level[y : y + 256, x : x + 256].compute()

        assert benchmark(read).shape == (256, 256, 3)
