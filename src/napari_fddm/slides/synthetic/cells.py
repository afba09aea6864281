"""Populations of cells and flowing fibers for synthetic tissue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.slides.synthetic.noise import (
    LatticeAxis,
    SampleGrid,
    directions,
    gradient_noise,
    lattice_hash,
    rehash,
    unit,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    FloatImage = npt.NDArray[np.float32]
    Axis = npt.NDArray[np.float64]


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
    ys = LatticeAxis.under(grid.y, scale, 0.5)
    xs = LatticeAxis.under(grid.x, scale, 0.5)
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
            y, x = ((n + 0.5).astype(np.float64) * spec.spacing for n in (rows, cols))
            cos, sin = along.along(y, x)
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
