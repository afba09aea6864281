"""Slides of every backend, small and written on the spot, for tests that ask all of them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dask.array as da
import fsspec
import pytest

from napari_fddm.core.errors import PixelsGoneError, SlideError
from napari_fddm.core.geometry import Mpp
from napari_fddm.slides import ArraySlide, PyramidSlide, open_slide
from napari_fddm.slides.openslide import OpenSlideSlide
from napari_fddm.slides.pixel_server import PixelServer
from napari_fddm.slides.served import ServedSlide
from tests.slides.ngff.test_omezarr import planar
from tests.slides.ngff.test_omezarr import write as write_omezarr
from tests.support.data import WSI
from tests.support.slides import binned, noise, stained, write_svs, write_tiff

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_fddm.core.protocols import Slide
    from tests.support.slides import Rgb
MPP = 0.5
REFUSALS = SlideError, PixelsGoneError
"""The second one says that a server of pixels has gone, and every further read is in vain."""

EXACT = [noise(200, 160), binned(noise(200, 160), 2), binned(noise(200, 160), 4)]
SMOOTH = [stained(200, 160), binned(stained(200, 160), 4)]


@dataclass(frozen=True, eq=False)
class Backend:
    """One way to a slide.

    Attributes
    ----------
    open : callable
        Builds the slide's files in a folder (the same ones each time) and opens it;
        the second argument is the pixel size that a user gives, or None.
    name : str
        What the slide says of its backend.
    source : str
        Where it found its pixel size.
    pixels : list of array, or None
        Its levels; None where it compresses with loss or draws them itself.
    """

    open: Callable[[Path, float | None], Slide]
    name: str
    source: str = "vendor"
    pixels: list[Rgb] | None = None
    mpp: float | None = MPP


def tiff(folder: Path, mpp: float | None) -> Slide:
    path = write_tiff(folder / "a.tif", EXACT, mpp=MPP, compression="lzw")
    return open_slide(path, mpp=mpp)


def strips(folder: Path, mpp: float | None) -> Slide:
    path = write_tiff(folder / "a.tif", EXACT, mpp=MPP, tile=None, rowsperstrip=7)
    return open_slide(path, mpp=mpp)


def ome_tiff(folder: Path, mpp: float | None) -> Slide:
    sizes = {f"PhysicalSize{axis}": MPP for axis in "XY"}
    metadata = {"axes": "YXS", **sizes, "PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
    path = write_tiff(folder / "a.ome.tif", EXACT, ome=True, subifds=True, metadata=metadata)
    return open_slide(path, mpp=mpp)


def svs(folder: Path, mpp: float | None) -> Slide:
    return open_slide(write_svs(folder / "a.svs", SMOOTH, mpp=MPP), mpp=mpp)


def openslide_svs(folder: Path, mpp: float | None) -> Slide:
    return OpenSlideSlide(write_svs(folder / "a.svs", SMOOTH, mpp=MPP), mpp=mpp)


def openslide_tiff(folder: Path, mpp: float | None) -> Slide:
    path = write_tiff(folder / "a.tif", EXACT, mpp=MPP, compression="lzw")
    return OpenSlideSlide(path, mpp=mpp)


def omezarr(folder: Path, mpp: float | None, version: str = "0.5") -> Slide:
    path = folder / "a.ome.zarr"
    write_omezarr(path, [planar(a) for a in EXACT], "cyx", version=version, scale=MPP)
    return open_slide(path, mpp=mpp)


def omezarr04(folder: Path, mpp: float | None) -> Slide:
    return omezarr(folder, mpp, "0.4")


def remote(folder: Path, mpp: float | None) -> Slide:
    omezarr(folder, None).close()
    url = f"memory://{uuid.uuid4()}/a.ome.zarr"
    fsspec.filesystem("memory").put(str(folder / "a.ome.zarr"), url, recursive=True)
    return open_slide(url, mpp=mpp)


def array(_: Path, mpp: float | None) -> ArraySlide:
    return ArraySlide(EXACT, mpp=Mpp(MPP, "layer") if mpp is None else mpp)


def one_array(_: Path, mpp: float | None) -> Slide:
    return ArraySlide(EXACT[0], mpp=Mpp(MPP, "layer") if mpp is None else mpp)


def lazy_array(_: Path, mpp: float | None) -> Slide:
    levels = [da.from_array(a, chunks=(70, 70, 3)) for a in EXACT]
    return ArraySlide(levels, mpp=Mpp(MPP, "layer") if mpp is None else mpp)


class OwnServer(ServedSlide):
    """A served slide that ends its server with itself."""

    def __init__(self, home: PyramidSlide, mpp: float | None) -> None:
        self.server = PixelServer(home)
        super().__init__(self.server.source(MPP, "layer"), mpp=mpp)

    def close(self) -> None:
        super().close()
        self.server.close()


def served(folder: Path, mpp: float | None) -> Slide:
    return OwnServer(array(folder, None), mpp)


def synthetic(_: Path, mpp: float | None) -> Slide:
    return open_slide(f"synthetic:1100x700?seed=3&mpp={MPP}", mpp=mpp)


BACKENDS = {
    "tiff": Backend(tiff, "tiff", "tiff-resolution", EXACT),
    "tiff-strips": Backend(strips, "tiff", "tiff-resolution", EXACT),
    "ome-tiff": Backend(ome_tiff, "tiff", "ome", EXACT),
    "svs": Backend(svs, "tiff", "vendor"),
    "openslide-svs": Backend(openslide_svs, "openslide", "vendor"),
    "openslide-tiff": Backend(openslide_tiff, "openslide", "tiff-resolution", EXACT),
    "omezarr": Backend(omezarr, "omezarr", "ome", EXACT),
    "omezarr-0.4": Backend(omezarr04, "omezarr", "ome", EXACT),
    "remote": Backend(remote, "omezarr", "ome", EXACT),
    "array": Backend(array, "array", "layer", EXACT),
    "one-array": Backend(one_array, "array", "layer", EXACT[:1]),
    "lazy-array": Backend(lazy_array, "array", "layer", EXACT),
    "served": Backend(served, "layer", "layer", EXACT),
    "synthetic": Backend(synthetic, "synthetic", "synthetic"),
}

SCANS = {
    "svs/CMU-1-Small-Region.svs": ("tiff", 0.499),
    "ndpi/test3-DAPI-2-(387).ndpi": ("openslide", 0.2282),
    "dicom/CMU-1-Small-Region": ("openslide", 0.499),
}
"""Files of scanners, where they are at hand: formats that no test can write."""


def scan(name: str) -> Backend:
    def opened(_: Path, mpp: float | None) -> Slide:
        if not (WSI / name).exists():
            pytest.skip(f"no {WSI / name}")
        return open_slide(WSI / name, mpp=mpp)

    backend, mpp = SCANS[name]
    return Backend(opened, backend, "vendor", mpp=mpp)


ALL = BACKENDS | {name: scan(name) for name in SCANS}
