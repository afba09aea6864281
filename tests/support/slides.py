"""Builders of small slides with known content, whole and damaged."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import tifffile

if TYPE_CHECKING:
    from pathlib import Path

Rgb = npt.NDArray[np.uint8]

APERIO = "Aperio Image Library v12.2.2\r\n{w}x{h} ({t}x{t}) JPEG/RGB Q=90|AppMag = 20|MPP = {mpp}"


def noise(height: int, width: int, seed: int = 0) -> Rgb:
    """Return random pixels: any misplaced or repeated one shows."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def stained(height: int, width: int, seed: int = 0) -> Rgb:
    """Return smooth pink and violet on white, which survives lossy compression."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / 40.0
    a, b = rng.uniform(0.5, 1.5, 2)
    density = 0.5 + 0.25 * (np.sin(a * y + rng.uniform(0, 6)) + np.cos(b * x + rng.uniform(0, 6)))
    color = np.array([90.0, 150.0, 60.0])
    image = 255 - density[..., None] * color
    return image.round().astype(np.uint8)


def dots(shape: tuple[int, int], centers: list[tuple[float, float]], sigma: float) -> Rgb:
    """Return white with dark Gaussian dots at the centers (y, x), in edge coordinates."""
    ys, xs = np.arange(shape[0]) + 0.5, np.arange(shape[1]) + 0.5
    dark = np.zeros(shape)
    for y, x in centers:
        dark += np.exp(-((ys - y) ** 2)[:, None] / (2 * sigma**2) - (xs - x) ** 2 / (2 * sigma**2))
    gray = (255 - 230 * np.clip(dark, 0, 1)).round().astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2)


def centroid(image: Rgb) -> tuple[float, float]:
    """Return the center (y, x) of what is dark, in edge coordinates of the image."""
    dark = 255.0 - image.astype(float).mean(axis=2)
    dark[dark < 4] = 0
    ys, xs = np.arange(image.shape[0]) + 0.5, np.arange(image.shape[1]) + 0.5
    return float((dark.sum(1) * ys).sum() / dark.sum()), float(
        (dark.sum(0) * xs).sum() / dark.sum()
    )


def slow_average(image: Rgb, box: tuple[float, float, float, float], shape: tuple[int, int]) -> Rgb:
    """Area-average pixel by pixel, straight from the definition; outside is white."""
    y0, x0, y1, x1 = box
    step_y, step_x = (y1 - y0) / shape[0], (x1 - x0) / shape[1]
    out = np.zeros((*shape, image.shape[2]))
    for i in range(shape[0]):
        for j in range(shape[1]):
            top, left = y0 + i * step_y, x0 + j * step_x
            out[i, j] = _mean_of(image, top, left, top + step_y, left + step_x)
    return out


def _mean_of(image: Rgb, top: float, left: float, bottom: float, right: float) -> npt.NDArray:
    total = np.zeros(image.shape[2])
    for y in range(math.floor(top), math.ceil(bottom)):
        for x in range(math.floor(left), math.ceil(right)):
            inside = 0 <= y < image.shape[0] and 0 <= x < image.shape[1]
            value = image[y, x].astype(float) if inside else np.full(image.shape[2], 255.0)
            part_y = min(bottom, y + 1) - max(top, y)
            part_x = min(right, x + 1) - max(left, x)
            total += max(part_y, 0) * max(part_x, 0) * value
    return total / ((bottom - top) * (right - left))


def binned(image: Rgb, factor: int) -> Rgb:
    """Average whole blocks and cut off the rest, as scanners do."""
    h, w = image.shape[0] // factor, image.shape[1] // factor
    blocks = image[: h * factor, : w * factor].reshape(h, factor, w, factor, -1)
    return blocks.mean(axis=(1, 3)).round().astype(np.uint8)


def stretched(image: Rgb, shape: tuple[int, int]) -> Rgb:
    """Average onto exactly this shape, as image libraries do when they resize."""
    rows = _stretch_matrix(image.shape[0], shape[0])
    cols = _stretch_matrix(image.shape[1], shape[1])
    return np.einsum("iy,yxc,jx->ijc", rows, image, cols, optimize=True).round().astype(np.uint8)


def _stretch_matrix(size: int, count: int) -> npt.NDArray[np.float64]:
    edges = np.linspace(0, size, count + 1)
    pixels = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.clip(overlap, 0, None) * count / size


def write_tiff(
    path: Path,
    levels: list[Rgb],
    *,
    mpp: float | None = None,
    tile: int | None = 64,
    subifds: bool = False,
    **options: object,
) -> Path:
    """Write a pyramidal TIFF; `options` go to tifffile."""
    options = {"photometric": "rgb", "compression": "zlib", **options}
    if tile is not None:
        options["tile"] = (tile, tile)
    with tifffile.TiffWriter(path, bigtiff=bool(options.pop("bigtiff", False)),
                             byteorder=options.pop("byteorder", "<"),
                             ome=bool(options.pop("ome", False))) as writer:  # fmt: skip
        for number, level in enumerate(levels):
            extra = dict(options)
            if number == 0 and subifds:
                extra["subifds"] = len(levels) - 1
            if number > 0:
                extra["subfiletype"] = 1
                extra.pop("metadata", None)
                extra.pop("description", None)
            if mpp is not None:
                per_cm = 1e4 / mpp * level.shape[0] / levels[0].shape[0]
                extra |= {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
            writer.write(level, **extra)
    return path


def write_svs(
    path: Path, levels: list[Rgb], *, mpp: float = 0.499, tile: int = 64, **options: object
) -> Path:
    """Write levels and a thumbnail in the order and with the words of an Aperio file."""
    height, width = levels[0].shape[:2]
    words = APERIO.format(w=width, h=height, t=tile, mpp=mpp)
    thumbnail = stretched(levels[0], (max(1, height // 10), max(1, width // 10)))
    tiled = {"photometric": "rgb", "compression": "jpeg", "tile": (tile, tile), "metadata": None}
    with tifffile.TiffWriter(path) as writer:
        writer.write(levels[0], description=words, **tiled, **options)
        writer.write(thumbnail, photometric="rgb", compression="jpeg", metadata=None,
                     description=words.replace(" (", f" -> {thumbnail.shape[1]}x ("))  # fmt: skip
        for level in levels[1:]:
            writer.write(level, description=words, **tiled)
    return path


def overwrite_tile(path: Path, index: int, data: bytes | None = None, *, page: int = 0) -> None:
    """Replace the bytes of one stored tile; with None its second half becomes zeros."""
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages[page].dataoffsets[index], file.pages[page].databytecounts[index]
    start = offset if data is not None else offset + count // 2
    fill = data[:count] if data is not None else bytes(count - count // 2)
    with path.open("r+b") as file:
        file.seek(start)
        file.write(fill)


def forget_tile(
    path: Path,
    index: int,
    *,
    tags: tuple[str, ...] = ("TileOffsets", "TileByteCounts"),
    page: int = 0,
) -> None:
    """Set one tile's offset and byte count to 0, as sparse writers do."""
    with tifffile.TiffFile(path, mode="r+b") as file:
        for tag in tags:
            found = file.pages[page].tags[tag]
            values = list(found.value) if isinstance(found.value, tuple) else [found.value]
            values[index] = 0
            found.overwrite(values)


def cut_off(path: Path, fraction: float) -> Path:
    """Keep only the first part of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * fraction)])
    return path
