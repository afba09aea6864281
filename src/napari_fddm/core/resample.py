"""Exact resampling of RGB images between pixel grids that do not line up.

A *box* is (y0, x0, y1, x1) in edge coordinates of the source image: pixel ``i``
spans ``[i, i + 1)``. It may be fractional and may reach beyond the image, where
the ground is white: light that passed through no tissue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from napari_fddm.core.errors import ConfigError

if TYPE_CHECKING:
    import numpy.typing as npt

    Image = npt.NDArray[np.uint8]

Box = tuple[float, float, float, float]

WHITE = 255
"""Gray value of the ground outside a slide."""

_ALIGNED = 1e-9


def area_average(image: Image, box: Box, shape: tuple[int, int], *, fill: int = WHITE) -> Image:
    """Average the source area under each output pixel, fractions included.

    Output pixel (i, j) is the integral of the piecewise constant source over its
    own part of the box, divided by that part's area. The two axes separate, so it
    is ``Wy · image · Wxᵀ`` with sparse weights that sum to 1 along each row.

    Parameters
    ----------
    image : array of uint8, shape (h, w, c)
        Source.
    box : tuple of float
        (y0, x0, y1, x1), source px; where it leaves the image the value is `fill`.
    shape : tuple of int
        (rows, columns) of the answer, both at least 1.
    fill : int
        Value outside the image, 0–255.

    Returns
    -------
    array of uint8, shape (rows, columns, c)
        Rounded half up.

    Raises
    ------
    ConfigError
        If the box or the shape is empty or the image is not uint8 (h, w, c).
    """
    _check(image, box, shape)
    aligned = _average_aligned(image, box, shape)
    if aligned is not None:
        return aligned
    weights_y = area_weights(box[0], box[2], shape[0], image.shape[0])
    weights_x = area_weights(box[1], box[3], shape[1], image.shape[1])
    return _apply(image, weights_y, weights_x, fill)


def bilinear(image: Image, box: Box, shape: tuple[int, int], *, fill: int = WHITE) -> Image:
    """Interpolate linearly between pixel centers; for boxes coarser than the output.

    Output pixels whose center lies outside the image are `fill`; between the
    outermost pixel centers and the image's edge the outermost pixel is repeated.

    Parameters
    ----------
    image : array of uint8, shape (h, w, c)
        Source.
    box : tuple of float
        (y0, x0, y1, x1), source px.
    shape : tuple of int
        (rows, columns) of the answer, both at least 1.
    fill : int
        Value outside the image, 0–255.

    Returns
    -------
    array of uint8, shape (rows, columns, c)

    Raises
    ------
    ConfigError
        As in `area_average`.
    """
    _check(image, box, shape)
    weights_y = linear_weights(box[0], box[2], shape[0], image.shape[0])
    weights_x = linear_weights(box[1], box[3], shape[1], image.shape[1])
    return _apply(image, weights_y, weights_x, fill)


def area_weights(start: float, stop: float, count: int, size: int) -> sparse.csr_array:
    """Return the share of each source pixel in each of `count` equal bins.

    Parameters
    ----------
    start, stop : float
        Span of all bins, source px.
    count : int
        Number of bins.
    size : int
        Number of source pixels.

    Returns
    -------
    sparse array of float32, shape (count, size)
        Rows sum to the fraction of the bin that lies inside the source.
    """
    edges = _snapped(np.linspace(start, stop, count + 1))
    low, high = edges[:-1], edges[1:]
    first = np.floor(low).astype(np.int64)
    span = int((np.ceil(high).astype(np.int64) - first).max())
    cols = first[:, None] + np.arange(span)  # (count, span)
    overlap = np.minimum(high[:, None], cols + 1) - np.maximum(low[:, None], cols)
    weights = np.clip(overlap, 0.0, None) / (high - low)[:, None]
    return _matrix(weights, cols, size)


def linear_weights(start: float, stop: float, count: int, size: int) -> sparse.csr_array:
    """Return the two-tap weights that interpolate at the centers of `count` bins.

    Parameters
    ----------
    start, stop : float
        Span of all bins, source px.
    count : int
        Number of bins.
    size : int
        Number of source pixels.

    Returns
    -------
    sparse array of float32, shape (count, size)
        Rows sum to 1 where the center lies inside the source, else to 0.
    """
    step = (stop - start) / count
    center = start + (np.arange(count) + 0.5) * step
    inside = (center >= 0) & (center <= size)
    position = np.clip(center - 0.5, 0, size - 1)
    first = np.minimum(np.floor(position).astype(np.int64), max(size - 2, 0))
    share = position - first
    weights = np.stack([1 - share, share], axis=1) * inside[:, None]
    return _matrix(weights, first[:, None] + np.arange(2), size)


def _matrix(
    weights: npt.NDArray[np.float64], cols: npt.NDArray[np.int64], size: int
) -> sparse.csr_array:
    keep = (weights > 0) & (cols >= 0) & (cols < size)
    rows = np.broadcast_to(np.arange(len(weights))[:, None], weights.shape)
    values = weights[keep].astype(np.float32)
    return sparse.csr_array((values, (rows[keep], cols[keep])), shape=(len(weights), size))


def _apply(
    image: Image, weights_y: sparse.csr_array, weights_x: sparse.csr_array, fill: int
) -> Image:
    height, width, channels = image.shape
    rows, cols = weights_y.shape[0], weights_x.shape[0]
    # Measured from the ground, what lies outside is zero and needs no weight.
    flat = image.reshape(height, width * channels).astype(np.float32) - fill
    tall = (weights_y @ flat).reshape(rows, width, channels)
    turned = tall.transpose(1, 0, 2).reshape(width, rows * channels)
    wide = (weights_x @ turned).reshape(cols, rows, channels).transpose(1, 0, 2)
    return _round(wide + np.float32(fill))


def _round(values: npt.NDArray[np.float32]) -> Image:
    # Float32 sums stray by about 1e-5; without the nudge exact halves would fall either way.
    rounded: Image = np.clip(np.floor(values + np.float32(0.5 + 1e-4)), 0, 255).astype(np.uint8)
    return rounded


def _average_aligned(image: Image, box: Box, shape: tuple[int, int]) -> Image | None:
    """Return the average where bins are whole pixels inside the image, else None."""
    edges = _snapped(np.array(box))
    whole = edges.astype(np.int64)
    y0, x0, y1, x1 = (int(n) for n in whole)
    if (edges != whole).any() or min(y0, x0) < 0 or y1 > image.shape[0] or x1 > image.shape[1]:
        return None
    step_y, rest_y = divmod(y1 - y0, shape[0])
    step_x, rest_x = divmod(x1 - x0, shape[1])
    if rest_y or rest_x:
        return None
    part = image[y0:y1, x0:x1]
    if step_y == step_x == 1:
        return np.ascontiguousarray(part)
    area = step_y * step_x
    # Summing rows first keeps the inner loop long and the memory in order.
    tall = np.add.reduce(part.reshape(shape[0], step_y, -1), axis=1, dtype=np.uint32)
    sums = np.add.reduce(tall.reshape(*shape, step_x, -1), axis=2)
    average: Image = ((sums + area // 2) // area).astype(np.uint8)
    return average


def _snapped(edges: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    nearest = np.round(edges)
    return np.where(
        np.abs(edges - nearest) < _ALIGNED * np.maximum(1, np.abs(edges)), nearest, edges
    )


def _check(image: Image, box: Box, shape: tuple[int, int]) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or 0 in image.shape:
        raise ConfigError(
            "resampling needs a uint8 image (h, w, c) with pixels, "
            f"got {image.dtype} {image.shape}."
        )
    y0, x0, y1, x1 = box
    if not np.isfinite(box).all() or y1 <= y0 or x1 <= x0 or min(shape) < 1:
        raise ConfigError(f"resampling needs a box and a shape with area, got {box} to {shape}.")
