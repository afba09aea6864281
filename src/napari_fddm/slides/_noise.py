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
class _LatticeAxis:
    """One axis of a lattice: which points are needed and where pixels lie among them."""

    points: npt.NDArray[np.int64]
    base: npt.NDArray[np.intp]
    offset: FloatImage

    @classmethod
    def under(cls, centers: Axis, scale: float, shift: float = 0.0) -> _LatticeAxis:
        position = centers / scale - shift
        floor = np.floor(position)
        base = floor.astype(np.int64)
        first = int(base[0])
        return cls(
            np.arange(first, int(base[-1]) + 2, dtype=np.int64),
            (base - first).astype(np.intp),
            (position - floor).astype(np.float32),
        )


def _fade(t: FloatImage) -> FloatImage:
    out: FloatImage = t * t * t * (t * (t * np.float32(6) - np.float32(15)) + np.float32(10))
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
    ys, xs = _LatticeAxis.under(grid.y, scale), _LatticeAxis.under(grid.x, scale)
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
    ys, xs = _LatticeAxis.under(grid.y, scale), _LatticeAxis.under(grid.x, scale)
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


@dataclass(frozen=True, slots=True)
class CellSpec:
    """A population of elliptic cells on a jittered lattice.

    Attributes
    ----------
    spacing : float
        Lattice constant, µm.
    radius : tuple of float
        Smallest and largest mean semi-axis, µm; the longest semi-axis plus the
        jitter must stay below one spacing.
    aspect : tuple of float
        Smallest and largest ratio of the semi-axes.
    jitter : float
        Largest shift of a cell along an axis, in spacings.
    missing : float
        Fraction of lattice points without a cell.
    """

    spacing: float
    radius: tuple[float, float]
    aspect: tuple[float, float] = (1.0, 1.0)
    jitter: float = 0.35
    missing: float = 0.0


@dataclass(frozen=True, slots=True)
class CellField:
    """The nearest cell of every pixel.

    Attributes
    ----------
    depth : array of float32, shape (h, w)
        Distance to the cell's outline, µm, positive inside (exact at the outline).
    tone : array of float32, shape (h, w)
        A uniform number in [0, 1) of that cell, for its color.
    """

    depth: FloatImage
    tone: FloatImage

    def inside(self, softness: float) -> FloatImage:
        """Return soft membership in [0, 1] with an outline this many µm wide."""
        out: FloatImage = self.depth * np.float32(1.0 / softness)
        out += np.float32(0.5)
        np.clip(out, 0.0, 1.0, out=out)
        return out


def cell_field(
    grid: SampleGrid,
    spec: CellSpec,
    seed: int,
    along: FlowField | None = None,
) -> CellField:
    """Find the nearest cell of each pixel among the four that can cover it.

    The squared elliptic radius is a quadratic in y for each pixel column and lattice
    row, so its three coefficients are worked out on (lattice rows, w) only.

    Parameters
    ----------
    grid : SampleGrid
        Where to evaluate, shape (h, w).
    spec : CellSpec
        The population.
    seed : int
        32-bit seed.
    along : FlowField, optional
        Orients the long axes; random orientation without it.
    """
    scale = spec.spacing
    ys = _LatticeAxis.under(grid.y, scale, 0.5)
    xs = _LatticeAxis.under(grid.x, scale, 0.5)
    cells = _Cells.draw(spec, seed, ys.points, xs.points, along)
    u = xs.offset * np.float32(scale)  # µm from the lattice point to the left
    v = ys.offset[:, None] * np.float32(scale)
    depth = np.full(grid.shape, -1e3, dtype=np.float32)
    tone = np.zeros(grid.shape, dtype=np.float32)
    for right in (0, 1):
        columns = cells.at_columns(xs.base + right, u - np.float32(right * scale))
        for below in (0, 1):
            index = ys.base + below
            w = v - np.float32(below * scale)
            candidate = columns.curve.take(index, axis=0)
            candidate *= w
            candidate += columns.slope.take(index, axis=0)
            candidate *= w
            candidate += columns.level.take(index, axis=0)
            closer = candidate > depth
            np.copyto(depth, candidate, where=closer)
            np.copyto(tone, columns.tone.take(index, axis=0), where=closer)
    return CellField(depth, tone)


@dataclass(frozen=True, slots=True)
class FlowField:
    """A direction everywhere: across the lines of equal phase of a stripe pattern.

    Attributes
    ----------
    cos, sin : float
        Mean direction in which the phase grows (x and y component).
    bend : tuple of (scale, amplitude, seed)
        Gradient noise added to the phase, amplitude in µm.
    """

    cos: float
    sin: float
    bend: tuple[tuple[float, float, int], ...]

    def phase(self, grid: SampleGrid, period: float) -> FloatImage:
        """Return the phase in periods, modulo 64, shape (h, w)."""
        py = np.mod(grid.y * (self.sin / period), 64.0).astype(np.float32)[:, None]
        px = np.mod(grid.x * (self.cos / period), 64.0).astype(np.float32)[None, :]
        out: FloatImage = py + px
        for scale, amplitude, seed in self.bend:
            wave = gradient_noise(grid, scale, seed)
            wave *= np.float32(amplitude / period)
            out += wave
        return out

    def along(self, y: Axis, x: Axis) -> tuple[FloatImage, FloatImage]:
        """Return the unit vector (x, y) along the stripes on the grid of y and x."""
        step = 4.0
        gy = np.full((len(y), len(x)), self.sin, dtype=np.float32)
        gx = np.full((len(y), len(x)), self.cos, dtype=np.float32)
        for scale, amplitude, seed in self.bend:
            gain = np.float32(amplitude / (2 * step))
            ahead, behind = SampleGrid(y + step, x, 0.0), SampleGrid(y - step, x, 0.0)
            gy += gain * (gradient_noise(ahead, scale, seed) - gradient_noise(behind, scale, seed))
            ahead, behind = SampleGrid(y, x + step, 0.0), SampleGrid(y, x - step, 0.0)
            gx += gain * (gradient_noise(ahead, scale, seed) - gradient_noise(behind, scale, seed))
        norm = np.sqrt(gx * gx + gy * gy) + np.float32(1e-6)
        return -gy / norm, gx / norm


@dataclass(frozen=True, slots=True)
class _Columns:
    """Depth of the cells of each lattice row as a quadratic in y, per pixel column."""

    curve: FloatImage
    slope: FloatImage
    level: FloatImage
    tone: FloatImage


@dataclass(frozen=True, slots=True)
class _Cells:
    """Shape parameters per lattice point, each (ny, nx)."""

    yy: FloatImage
    xy: FloatImage
    xx: FloatImage
    y: FloatImage
    x: FloatImage
    radius: FloatImage
    tone: FloatImage

    @classmethod
    def draw(
        cls,
        spec: CellSpec,
        seed: int,
        rows: npt.NDArray[np.int64],
        cols: npt.NDArray[np.int64],
        along: FlowField | None,
    ) -> _Cells:
        hashes = lattice_hash(seed, rows, cols)
        reach = np.float32(spec.spacing * spec.jitter)
        shift_y = (unit(rehash(hashes, 1)) * 2 - 1) * reach
        shift_x = (unit(rehash(hashes, 2)) * 2 - 1) * reach
        low, high = spec.radius
        radius = np.float32(low) + unit(rehash(hashes, 3)) * np.float32(high - low)
        radius[unit(hashes) < spec.missing] = -1.0
        flat, long = spec.aspect
        aspect = np.float32(flat) + unit(rehash(hashes, 4)) * np.float32(long - flat)
        if along is None:
            cos, sin = directions(rehash(hashes, 5))
        else:
            cos, sin = along.along((rows + 0.5) * spec.spacing, (cols + 0.5) * spec.spacing)
        area = np.maximum(radius * radius, np.float32(1e-3))
        major, minor = 1 / (area * aspect), aspect / area
        return cls(
            yy=sin * sin * major + cos * cos * minor,
            xy=2 * cos * sin * (major - minor),
            xx=cos * cos * major + sin * sin * minor,
            y=shift_y,
            x=shift_x,
            radius=radius / np.sqrt(aspect),
            tone=unit(rehash(hashes, 6)),
        )

    def at_columns(self, index: npt.NDArray[np.intp], u: FloatImage) -> _Columns:
        yy, xy, xx, y, x, radius, tone = (
            field.take(index, axis=1)
            for field in (self.yy, self.xy, self.xx, self.y, self.x, self.radius, self.tone)
        )  # each (ny, w)
        du = u - x
        half = np.abs(radius) * np.float32(0.5)
        slope = xy * du - 2 * yy * y
        level = (xx * du - xy * y) * du + yy * y * y
        present = radius > 0
        return _Columns(
            curve=np.where(present, -yy * half, np.float32(0)),
            slope=np.where(present, -slope * half, np.float32(0)),
            level=np.where(present, (1 - level) * half, np.float32(-500)),
            tone=tone,
        )
