"""Where the tissue of a synthetic slide lies and which class it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.geometry import Window
from napari_fddm.slides.synthetic.noise import (
    SampleGrid,
    gradient_noise,
    lattice_hash,
    rehash,
    subseed,
    unit,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    FloatImage = npt.NDArray[np.float32]
    Labels = npt.NDArray[np.uint8]

BG, VT, NC, FH, HC, IF, NT = OSTEOSARCOMA.values

_FILL = 0.86
"""The tissue's mean half-axes, as a fraction of half the slide."""
_REGION_UM = 850.0
"""Distance between region centers on large slides, µm; smaller slides get a seventh."""
_MAX_SITES = 96
"""Most region centers along a side, so that any slide is laid out in a moment."""
_JITTER = 0.3
"""Shift of a center in spacings; up to this the nearest is among the 3 by 3 around."""
_UNDECIDED = 0.6
"""Further than this from its edge, no noise can turn tissue into glass or back."""
_SLENDER = 40.0
"""Thinner slides than 1 to 40 get the edge of this one, so that its noise stays coarse."""
_SURVEY = 320
"""Samples along a side when the areas of regions are surveyed."""


@dataclass(frozen=True, slots=True)
class TissueLayout:
    """The exact class of every point of a synthetic slide.

    A warped Voronoi partition gives the regions; classes are dealt to them so that
    the areas come close to proportions drawn from the seed.

    Attributes
    ----------
    size : tuple of float
        (height, width) of the slide, µm.
    seed : int
        32-bit seed.
    spacing : float
        Distance between region centers, µm.
    site_y, site_x : array of float32, shape (rows, cols)
        Region centers in spacings; entry (0, 0) belongs to lattice cell (-2, -2).
    site_class : array of uint8, shape (rows, cols)
        Class of each region.
    """

    size: tuple[float, float]
    seed: int
    spacing: float
    site_y: FloatImage
    site_x: FloatImage
    site_class: Labels

    @classmethod
    def drawn(cls, size: tuple[float, float], seed: int) -> TissueLayout:
        """Lay out a slide of this size in µm."""
        area = size[0] * size[1]
        spacing = min(_REGION_UM, area**0.5 / 7.0)
        spacing = max(spacing, max(size) / _MAX_SITES)
        rows, cols = (np.arange(-2, int(n / spacing) + 3, dtype=np.int64) for n in size)
        hashes = lattice_hash(subseed(seed, 11), rows, cols)
        site_y = rows[:, None] + 0.5 + _JITTER * (2 * unit(rehash(hashes, 1)) - 1)
        site_x = cols[None, :] + 0.5 + _JITTER * (2 * unit(rehash(hashes, 2)) - 1)
        blank = cls(
            size,
            seed,
            spacing,
            site_y.astype(np.float32),
            site_x.astype(np.float32),
            np.full(hashes.shape, NC, dtype=np.uint8),
        )
        return cls(size, seed, spacing, blank.site_y, blank.site_x, blank._deal(hashes))

    def labels(self, grid: SampleGrid) -> Labels:
        """Return the class at each point of a grid, uint8, shape (h, w)."""
        tissue = self._tissue(grid)
        out = np.full(grid.shape, BG, dtype=np.uint8)
        window = Window.of_mask(tissue)
        if not window.is_empty:
            box = window.slices
            inner = self.site_class.ravel().take(self._site(grid.part(*box)))
            np.copyto(out[box], inner, where=tissue[box])
        return out

    def _tissue(self, grid: SampleGrid) -> npt.NDArray[np.bool_]:
        """Return where there is tissue: a superellipse with a ragged edge, less cracks."""
        height, width = self.size
        fine = grid.sharp()
        short = max(min(self.size), max(self.size) / _SLENDER)
        uy = np.abs(grid.y - height / 2) / (height / 2 * _FILL)
        ux = np.abs(grid.x - width / 2) / (width / 2 * _FILL)
        body = (1 - uy * uy * uy)[:, None].astype(np.float32) - (ux * ux * ux).astype(np.float32)
        if float(body.max()) < -_UNDECIDED:
            return np.zeros(grid.shape, dtype=np.bool_)
        if float(body.min()) < _UNDECIDED:
            rough = 3.0 / (_FILL * short / 2)  # change of body per µm at the edge
            for scale, gain, salt in (
                (0.30 * short, 0.30, 21),
                (0.11 * short, 0.10, 22),
                (min(110.0, 0.05 * short), rough * min(26.0, 0.01 * short), 23),
            ):
                body += np.float32(gain) * gradient_noise(fine, scale, subseed(self.seed, salt))
        out: npt.NDArray[np.bool_] = body > 0
        return self._less_cracks(fine, out)

    def _less_cracks(
        self, fine: SampleGrid, tissue: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Cut narrow tears where one noise changes sign and another is high."""
        where = gradient_noise(fine, 1.3 * self.spacing, subseed(self.seed, 24))
        if float(where.max()) <= 0.42:
            return tissue
        line = np.abs(gradient_noise(fine, 0.8 * self.spacing, subseed(self.seed, 25)))
        return tissue & (line >= (where - np.float32(0.42)) * np.float32(0.16))

    def _site(self, grid: SampleGrid) -> npt.NDArray[np.intp]:
        """Return the flat index of each point's region, shape (h, w)."""
        fine = grid.sharp()
        y = np.broadcast_to((grid.y / self.spacing).astype(np.float32)[:, None], grid.shape).copy()
        x = np.broadcast_to((grid.x / self.spacing).astype(np.float32), grid.shape).copy()
        for scale, gain, salt in ((0.9, 0.26, 31), (0.33, 0.07, 41), (0.1, 0.022, 51)):
            reach = np.float32(gain)
            y += reach * gradient_noise(fine, scale * self.spacing, subseed(self.seed, salt))
            x += reach * gradient_noise(fine, scale * self.spacing, subseed(self.seed, salt + 1))
        rows, cols = self.site_y.shape
        row = np.clip(np.floor(y).astype(np.intp) + 2, 1, rows - 2)
        col = np.clip(np.floor(x).astype(np.intp) + 2, 1, cols - 2)
        center = row * cols + col
        site: npt.NDArray[np.intp] = center.copy()
        best = np.full(grid.shape, np.inf, dtype=np.float32)
        flat_y, flat_x = self.site_y.ravel(), self.site_x.ravel()
        for step in (dy * cols + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)):
            index = center + step
            dy = flat_y.take(index)
            dy -= y
            dy *= dy
            dx = flat_x.take(index)
            dx -= x
            dx *= dx
            dy += dx
            closer = dy < best
            np.copyto(best, dy, where=closer)
            np.copyto(site, index, where=closer)
        return site

    def _deal(self, hashes: npt.NDArray[np.uint32]) -> Labels:
        """Deal the classes to the regions in hashed order, the neediest class first."""
        height, width = self.size
        grid = SampleGrid.sampling((_SURVEY, _SURVEY), (height / _SURVEY, width / _SURVEY))
        inside = self._site(grid)[self._tissue(grid)]
        areas = np.bincount(inside, minlength=hashes.size) / max(1, len(inside))
        target = proportions(self.seed)
        classes = np.array(list(target), dtype=np.uint8)
        wanted = np.array(list(target.values()))
        dealt = np.zeros(len(classes))
        out = np.full(hashes.size, NC, dtype=np.uint8)
        for site in np.argsort(rehash(hashes, 3).ravel(), kind="stable"):
            pick = int(np.argmax((wanted - dealt) / wanted))
            out[site] = classes[pick]
            dealt[pick] += max(areas[site], 1e-9)
        return out.reshape(hashes.shape)


def proportions(seed: int) -> dict[int, float]:
    """Return the share of the tissue that each class shall have; they sum to 1.

    The necrosis rate (NC + FH + HC + IF) / (VT + NC + FH + HC + IF) is drawn between
    0.32 and 0.94, the tumor bed between 76 and 88 % of the tissue.
    """
    draws = np.random.default_rng(subseed(seed, 12))
    bed = draws.uniform(0.76, 0.88)
    rate = draws.uniform(0.32, 0.94)
    parts = np.array([0.44, 0.30, 0.15, 0.11]) * draws.uniform(0.5, 1.5, 4)
    parts = np.maximum(parts / parts.sum() * bed * rate, 0.035)
    parts *= bed * rate / parts.sum()
    shares = [bed * (1 - rate), *parts, 1 - bed]
    order = draws.permutation(6)
    names = (VT, NC, FH, HC, IF, NT)
    return {names[i]: float(shares[i]) for i in order}
