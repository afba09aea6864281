"""Deterministic noise on the plane: hashed lattices evaluated at pixel centers.

Every value is a pure function of (seed, position). Only additions, multiplications,
comparisons and table look-ups touch the pixels, so the bits do not depend on where a
tile was cut, on the number of threads or on a vectorized math library. Lattices are
interpolated along x on the few lattice rows first and along y afterwards, which turns
the two-dimensional gather into copies of whole rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    FloatImage = npt.NDArray[np.float32]
    Axis = npt.NDArray[np.float64]

_GOLDEN = 0x9E3779B9
_TURNS = 64
_ANGLES = np.arange(_TURNS) * (2.0 * np.pi / _TURNS)
_COS = np.cos(_ANGLES).astype(np.float32)
_SIN = np.sin(_ANGLES).astype(np.float32)


@dataclass(frozen=True, slots=True)
class SampleGrid:
    """Pixel centers of a rectangular grid.

    Attributes
    ----------
    y, x : array of float64, shapes (h,) and (w,)
        Centers in µm, ascending.
    pixel : float
        Edge of a pixel, µm; structures finer than this are averaged out.
    """

    y: Axis
    x: Axis
    pixel: float

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.y), len(self.x)

    def part(self, rows: slice, cols: slice) -> SampleGrid:
        """Return the sub-grid of some rows and columns."""
        return SampleGrid(self.y[rows], self.x[cols], self.pixel)

    @classmethod
    def sampling(cls, shape: tuple[int, int], pitch: tuple[float, float]) -> SampleGrid:
        """Return sharp points, not areas, at this pitch (y, x) in µm from the origin on."""
        y, x = (
            ((np.arange(n) + 0.5) * p).astype(np.float64) for n, p in zip(shape, pitch, strict=True)
        )
        return cls(y, x, 0.0)

    def sharp(self) -> SampleGrid:
        """Return the same points with nothing averaged out."""
        return SampleGrid(self.y, self.x, 0.0)


def mix(values: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Scramble 32-bit integers (xor-shift-multiply finalizer), any shape."""
    out = values ^ (values >> np.uint32(16))
    out *= np.uint32(0x7FEB352D)
    out ^= out >> np.uint32(15)
    out *= np.uint32(0x846CA68B)
    out ^= out >> np.uint32(16)
    return out


def subseed(seed: int, *salts: int) -> int:
    """Derive an independent 32-bit seed from a seed and some salts."""
    state = np.array([(seed ^ (seed >> 32)) & 0xFFFFFFFF], dtype=np.uint32)
    for salt in salts:
        state = mix(state + np.uint32((salt * _GOLDEN + 0x632BE5AB) & 0xFFFFFFFF))
    return int(mix(state)[0])


def lattice_hash(
    seed: int, rows: npt.NDArray[np.int64], cols: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint32]:
    """Hash every lattice point (row, column) of a rectangle.

    Parameters
    ----------
    seed : int
        32-bit seed.
    rows, cols : array of int64, shapes (h,) and (w,)
        Lattice indices, any sign.

    Returns
    -------
    array of uint32, shape (h, w)
    """
    by_row = mix(_as_uint32(rows) * np.uint32(0x85EBCA6B) + np.uint32(seed))
    by_col = mix(_as_uint32(cols) * np.uint32(0xC2B2AE35) + np.uint32(seed ^ 0x5BD1E995))
    return mix(by_row[:, None] + by_col[None, :])


def _as_uint32(values: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    return (values & 0xFFFFFFFF).astype(np.uint32)


def rehash(hashes: npt.NDArray[np.uint32], salt: int) -> npt.NDArray[np.uint32]:
    """Return a further independent hash of already hashed points."""
    return mix(hashes + np.uint32((salt * _GOLDEN) & 0xFFFFFFFF))


def unit(hashes: npt.NDArray[np.uint32]) -> FloatImage:
    """Map hashes to float32 in [0, 1)."""
    out: FloatImage = (hashes >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
    return out


def directions(hashes: npt.NDArray[np.uint32]) -> tuple[FloatImage, FloatImage]:
    """Return (cos, sin) of one of 64 angles per hash."""
    index = hashes & np.uint32(_TURNS - 1)
    return _COS[index], _SIN[index]


@dataclass(frozen=True, slots=True)
class LatticeAxis:
    """One axis of a lattice: which points are needed and where pixels lie among them.

    Attributes
    ----------
    points : array of int64, shape (n,)
        Consecutive lattice indices that enclose all pixels.
    base : array of intp, shape (pixels,)
        Index into `points` of the point at or before each pixel.
    offset : array of float32, shape (pixels,)
        Distance from that point, 0…1 lattice constants.
    """

    points: npt.NDArray[np.int64]
    base: npt.NDArray[np.intp]
    offset: FloatImage

    @classmethod
    def under(cls, centers: Axis, scale: float, shift: float = 0.0) -> LatticeAxis:
        """Lay a lattice under ascending pixel centers (µm), point i at (i + shift) scale."""
        position: Axis = centers / scale - shift
        floor = np.floor(position)
        base = floor.astype(np.int64)
        first = int(base[0])
        return cls(
            np.arange(first, int(base[-1]) + 2, dtype=np.int64),
            (base - first).astype(np.intp),
            (position - floor).astype(np.float32),
        )


def _fade(t: FloatImage) -> FloatImage:
    """Ease 0…1 so that the noise has continuous second derivatives: 6t⁵ - 15t⁴ + 10t³."""
    out: FloatImage = t * np.float32(6)
    out -= np.float32(15)
    out *= t
    out += np.float32(10)
    out *= t * t * t
    return out


def value_noise(grid: SampleGrid, scale: float, seed: int) -> FloatImage:
    """Return smooth noise in [0, 1] around 0.5; 0.5 where the pixel is coarser than it.

    Parameters
    ----------
    grid : SampleGrid
        Where to evaluate, shape (h, w).
    scale : float
        Distance between lattice points, µm.
    seed : int
        32-bit seed.
    """
    if grid.pixel > scale:
        return np.full(grid.shape, 0.5, dtype=np.float32)
    ys, xs = LatticeAxis.under(grid.y, scale), LatticeAxis.under(grid.x, scale)
    lattice = unit(lattice_hash(seed, ys.points, xs.points))  # (ny, nx)
    wx, wy = _fade(xs.offset), _fade(ys.offset)[:, None]
    left = lattice.take(xs.base, axis=1)
    rows = left + (lattice.take(xs.base + 1, axis=1) - left) * wx  # (ny, w)
    out = rows.take(ys.base, axis=0)
    step = (rows[1:] - rows[:-1]).take(ys.base, axis=0)
    step *= wy
    out += step
    return out


def gradient_noise(grid: SampleGrid, scale: float, seed: int) -> FloatImage:
    """Return smooth zero-mean noise, about -1…1, without value noise's blockiness.

    Interpolates planes through the lattice points with hashed slopes. Arguments as
    `value_noise`; 0 where the pixel is coarser than twice the scale.
    """
    if grid.pixel > 2 * scale:
        return np.zeros(grid.shape, dtype=np.float32)
    ys, xs = LatticeAxis.under(grid.y, scale), LatticeAxis.under(grid.x, scale)
    slope_y, slope_x = directions(lattice_hash(seed, ys.points, xs.points))  # (ny, nx)
    wx, wy = _fade(xs.offset), _fade(ys.offset)[:, None]
    near = slope_x.take(xs.base, axis=1) * xs.offset
    far = slope_x.take(xs.base + 1, axis=1) * (xs.offset - np.float32(1))
    level = near + (far - near) * wx  # (ny, w): value on the lattice row
    near = slope_y.take(xs.base, axis=1)
    slope = near + (slope_y.take(xs.base + 1, axis=1) - near) * wx  # (ny, w)
    offset = ys.offset[:, None]
    upper = slope.take(ys.base, axis=0)
    upper *= offset
    upper += level.take(ys.base, axis=0)
    lower = slope.take(ys.base + 1, axis=0)
    lower *= offset - np.float32(1)
    lower += level.take(ys.base + 1, axis=0)
    lower -= upper
    lower *= wy
    lower += upper
    lower *= np.float32(1.5)
    return lower
