"""Exact resampling of RGB images between pixel grids that do not line up.

A *box* is (y0, x0, y1, x1) in edge coordinates of the source image: pixel ``i``
spans ``[i, i + 1)``. It may be fractional and may reach beyond the image, where
the background is white: light that passed through no tissue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import ConfigError

if TYPE_CHECKING:
    import numpy.typing as npt
    from scipy import sparse

    Image = npt.NDArray[np.uint8]
    Edges = npt.NDArray[np.float64]

Box = tuple[float, float, float, float]

WHITE = 255
"""Gray value of the background outside a slide."""

_STRIP_BYTES = 100_000
"""Memory of a strip of rows in float32, so that it stays in the processor's cache."""
_LEAST_STRIP = 8
"""Fewest rows of a strip."""
_ALIGNED = 1e-7
"""Edges this near to a whole pixel, px, are taken to lie on it."""


def area_average(image: Image, box: Box, shape: tuple[int, int], *, fill: int = WHITE) -> Image:
    """Average the source area under each output pixel, fractions included.

    Parameters
    ----------
    image : array of uint8, shape (h, w, c)
        Source.
    box : tuple of float
        (y0, x0, y1, x1), source px; where it leaves the image the value is `fill`.
    shape : tuple of int
        (rows, columns) of the result, both at least 1.
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
    return area_average_edges(image, *_edges(box, shape), fill=fill)


def area_average_edges(image: Image, y_edges: Edges, x_edges: Edges, *, fill: int = WHITE) -> Image:
    """Average the source between consecutive edges; the general form of `area_average`.

    Output pixel (i, j) is the integral of the piecewise constant source over
    ``[y_edges[i], y_edges[i + 1]) × [x_edges[j], x_edges[j + 1])``, divided by that
    area. The axes separate, so it is ``Wy · image · Wxᵀ`` with sparse weights. A
    pixel's value depends on its own edges only, bit for bit: a read of a part equals
    the part of a read.

    Parameters
    ----------
    image : array of uint8, shape (h, w, c)
        Source.
    y_edges, x_edges : array of float, shape (rows + 1,) and (columns + 1,)
        Ascending, source px.
    fill : int
        Value outside the image, 0–255.

    Returns
    -------
    array of uint8, shape (rows, columns, c)

    Raises
    ------
    ConfigError
        If edges do not ascend or the image is not uint8 (h, w, c).
    """
    _check(image, y_edges, x_edges)
    y_edges, x_edges = _snapped(y_edges), _snapped(x_edges)
    aligned = _average_aligned(image, y_edges, x_edges)
    if aligned is not None:
        return aligned
    weights_y = area_weights(y_edges, image.shape[0])
    weights_x = area_weights(x_edges, image.shape[1])
    return _apply(image, weights_y, weights_x, fill)


def bin_average(image: Image, steps: tuple[int, int]) -> Image:
    """Average whole bins: what `area_average_edges` gives where bins and pixels line up.

    Parameters
    ----------
    image : array of uint8, shape (rows · sy, columns · sx, c)
        Source.
    steps : tuple of int
        (sy, sx), source pixels per bin.

    Returns
    -------
    array of uint8, shape (rows, columns, c)
        Rounded half up; the image itself where both steps are 1.
    """
    if steps == (1, 1):
        return image
    step_y, step_x = steps
    rows, cols = image.shape[0] // step_y, image.shape[1] // step_x
    area = step_y * step_x
    # Summing rows first keeps the inner loop long and the memory in order.
    tall = np.add.reduce(image.reshape(rows, step_y, -1), axis=1, dtype=np.uint32)
    sums = np.add.reduce(tall.reshape(rows, cols, step_x, -1), axis=2)
    average: Image = ((sums + area // 2) // area).astype(np.uint8)
    return average


def bilinear_edges(image: Image, y_edges: Edges, x_edges: Edges, *, fill: int = WHITE) -> Image:
    """Interpolate linearly at the centers between edges, for output finer than the source.

    Output pixels whose center lies outside the image are `fill`; between the
    outermost pixel centers and the image's edge the outermost pixel is repeated.

    Parameters
    ----------
    image : array of uint8, shape (h, w, c)
        Source.
    y_edges, x_edges : array of float, shape (rows + 1,) and (columns + 1,)
        Ascending, source px.
    fill : int
        Value outside the image, 0–255.

    Returns
    -------
    array of uint8, shape (rows, columns, c)

    Raises
    ------
    ConfigError
        As in `area_average_edges`.
    """
    _check(image, y_edges, x_edges)
    weights_y = linear_weights(y_edges, image.shape[0])
    weights_x = linear_weights(x_edges, image.shape[1])
    return _apply(image, weights_y, weights_x, fill)


def area_weights(edges: Edges, size: int) -> sparse.csr_array:
    """Return the share of each source pixel in each bin.

    Parameters
    ----------
    edges : array of float, shape (bins + 1,)
        Ascending, source px.
    size : int
        Number of source pixels.

    Returns
    -------
    sparse array of float32, shape (bins, size)
        Rows sum to the fraction of the bin that lies inside the source.
    """
    low, high = edges[:-1], edges[1:]
    first = np.floor(low).astype(np.int64)
    span = int((np.ceil(high).astype(np.int64) - first).max())
    cols = first[:, None] + np.arange(span)  # (bins, span)
    overlap = np.minimum(high[:, None], cols + 1) - np.maximum(low[:, None], cols)
    weights = np.clip(overlap, 0.0, None) / (high - low)[:, None]
    return _matrix(weights, cols, size)


def linear_weights(edges: Edges, size: int) -> sparse.csr_array:
    """Return the two-tap weights that interpolate at the centers of bins.

    Parameters
    ----------
    edges : array of float, shape (bins + 1,)
        Ascending, source px.
    size : int
        Number of source pixels.

    Returns
    -------
    sparse array of float32, shape (bins, size)
        Rows sum to 1 where the center lies inside the source, else to 0.
    """
    center = (edges[:-1] + edges[1:]) / 2
    inside = (center >= 0) & (center <= size)
    position = np.clip(center - 0.5, 0, size - 1)
    first = np.minimum(np.floor(position).astype(np.int64), max(size - 2, 0))
    share = position - first
    weights = np.stack([1 - share, share], axis=1) * inside[:, None]
    return _matrix(weights, first[:, None] + np.arange(2), size)


def _matrix(
    weights: npt.NDArray[np.float64], cols: npt.NDArray[np.int64], size: int
) -> sparse.csr_array:
    """Return a sparse matrix from each row's weights and their ascending columns."""
    from scipy import sparse  # imported late: it takes as long as all else a window imports

    keep = (weights > 0) & (cols >= 0) & (cols < size)
    ends = np.zeros(len(weights) + 1, np.int32)
    np.cumsum(keep.sum(axis=1), out=ends[1:])
    entries = weights[keep].astype(np.float32), cols[keep].astype(np.int32), ends
    return sparse.csr_array(entries, shape=(len(weights), size))


def _apply(
    image: Image, weights_y: sparse.csr_array, weights_x: sparse.csr_array, fill: int
) -> Image:
    """Return ``Wy · image · Wxᵀ``, a strip of rows at a time.

    Strips fit into the processor's cache and into memory that the allocator keeps;
    whole images of floats cost several times as long.
    """
    width, channels = image.shape[1:]
    rows = weights_y.shape[0]
    result = np.empty((rows, weights_x.shape[0], channels), np.uint8)
    step = max(_LEAST_STRIP, _STRIP_BYTES // (4 * width * channels))
    for start in range(0, rows, step):
        strip = slice(start, min(start + step, rows))
        part, first, last = _row_strip(weights_y, strip)
        result[strip] = _apply_strip(image[first:last], part, weights_x, fill)
    return result


def _row_strip(weights: sparse.csr_array, strip: slice) -> tuple[sparse.csr_array, int, int]:
    """Return some rows of a matrix, without the columns before and after their entries."""
    from scipy import sparse

    begin, end = weights.indptr[strip.start], weights.indptr[strip.stop]
    columns = weights.indices[begin:end]
    # A strip without entries lies outside the image: any row of it serves.
    first, last = (int(columns.min()), int(columns.max()) + 1) if len(columns) else (0, 1)
    ends = weights.indptr[strip.start : strip.stop + 1] - begin
    entries = weights.data[begin:end], columns - np.int32(first), ends
    return sparse.csr_array(entries, shape=(len(ends) - 1, last - first)), first, last


def _apply_strip(
    image: Image, weights_y: sparse.csr_array, weights_x: sparse.csr_array, fill: int
) -> Image:
    height, width, channels = image.shape
    rows, cols = weights_y.shape[0], weights_x.shape[0]
    # Relative to the fill value, everything outside is zero and needs no weight.
    flat = image.reshape(height, width * channels).astype(np.float32)
    flat -= fill
    tall = (weights_y @ flat).reshape(rows, width, channels)
    # Transposed channel by channel, which is several times faster than by pixel.
    turned = np.empty((width, channels, rows), np.float32)
    for channel in range(channels):
        turned[:, channel] = tall[..., channel].T
    wide = weights_x @ turned.reshape(width, channels * rows)
    wide += np.float32(fill)
    rounded = _round(wide).reshape(cols, channels, rows)
    result = np.empty((rows, cols, channels), np.uint8)
    for channel in range(channels):
        result[..., channel] = rounded[:, channel].T
    return result


def _round(values: npt.NDArray[np.float32]) -> Image:
    """Round half up, in place; values are averages of gray values."""
    # Float32 sums err by about 1e-5: without the extra 1e-4 exact halves would round either way.
    values += np.float32(0.5 + 1e-4)
    np.clip(values, 0, 255, out=values)
    rounded: Image = values.astype(np.uint8)  # truncation is floor: nothing is below 0
    return rounded


def _average_aligned(image: Image, y_edges: Edges, x_edges: Edges) -> Image | None:
    """Return the average where bins are equal, whole and inside the image, else None."""
    steps = _whole_step(y_edges, image.shape[0]), _whole_step(x_edges, image.shape[1])
    if 0 in steps:
        return None
    rows, cols = len(y_edges) - 1, len(x_edges) - 1
    y0, x0 = int(y_edges[0]), int(x_edges[0])
    part = image[y0 : y0 + rows * steps[0], x0 : x0 + cols * steps[1]]
    # A copy where nothing is averaged: the source may be a shared cache.
    return np.array(part) if steps == (1, 1) else bin_average(part, steps)


def _whole_step(edges: Edges, size: int) -> int:
    """Return the common whole width of the bins, 0 where there is none or they leave `size`."""
    if edges[0] < 0 or edges[-1] > size or not edges[0].is_integer():
        return 0
    step = edges[1] - edges[0]
    return int(step) if step.is_integer() and (np.diff(edges) == step).all() else 0


def _edges(box: Box, shape: tuple[int, int]) -> tuple[Edges, Edges]:
    if not np.isfinite(box).all() or min(shape) < 1:
        raise ConfigError(f"resampling needs a finite box and a shape ≥ 1, got {box} to {shape}.")
    y0, x0, y1, x1 = box
    return np.linspace(y0, y1, shape[0] + 1), np.linspace(x0, x1, shape[1] + 1)


def _snapped(edges: Edges) -> Edges:
    nearest = np.round(edges)
    return np.where(np.abs(edges - nearest) < _ALIGNED, nearest, edges)


def _check(image: Image, y_edges: Edges, x_edges: Edges) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or 0 in image.shape:
        raise ConfigError(
            "resampling needs a uint8 image (h, w, c) with pixels, "
            f"got {image.dtype} {image.shape}."
        )
    for edges in (y_edges, x_edges):
        if len(edges) < 2 or not (np.diff(edges) > 0).all():
            raise ConfigError("resampling needs at least two edges that ascend.")
