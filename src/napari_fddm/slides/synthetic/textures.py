"""Textures of the tissue classes of a synthetic slide: dye concentrations in µm space.

Each texture is drawn after the usual description of the class in hematoxylin and eosin;
lengths are in µm, concentrations in the units of `StainModel`. Two materials within a
class (bone and marrow, blood and cyst) are told apart by `Texture.structure`, so that
coarse reads can still show them when single cells are averaged out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.slides.synthetic.cells import CellField, CellSpec, FlowField, cell_field
from napari_fddm.slides.synthetic.layout import FH, HC, IF, NC, NT, VT
from napari_fddm.slides.synthetic.noise import SampleGrid, gradient_noise, subseed, value_noise
from napari_fddm.slides.synthetic.stains import Dyes

if TYPE_CHECKING:
    import numpy.typing as npt

    FloatImage = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Canvas:
    """A grid to draw on and the seed of the slide."""

    grid: SampleGrid
    seed: int

    @property
    def softness(self) -> float:
        """Width of a drawn outline, µm: optics at fine pixels, the pixel at coarser ones.

        Bounded, since outlines softer than a cell's radius would change its mean color.
        """
        return min(max(1.0, 1.1 * self.grid.pixel), 2.2)

    def smooth(self, scale: float, salt: int) -> FloatImage:
        """Return gradient noise, about -1…1."""
        return gradient_noise(self.grid, scale, subseed(self.seed, salt))

    def grain(self, scale: float, salt: int) -> FloatImage:
        """Return value noise, 0…1 around 0.5."""
        return value_noise(self.grid, scale, subseed(self.seed, salt))

    def cells(self, spec: CellSpec, salt: int, along: FlowField | None = None) -> CellField:
        """Return the nearest cell of a population at each pixel."""
        return cell_field(self.grid, spec, subseed(self.seed, salt), along)


def ramp(values: FloatImage, low: float, high: float) -> FloatImage:
    """Return values rescaled so that low → 0 and high → 1, clipped."""
    out: FloatImage = values * np.float32(1.0 / (high - low))
    out -= np.float32(low / (high - low))
    np.clip(out, 0.0, 1.0, out=out)
    return out


def stripes(phase: FloatImage) -> FloatImage:
    """Return a smooth wave 0…1 of period 1: a triangle wave, eased by a cubic."""
    t = phase - np.floor(phase)
    t = np.abs(t * np.float32(2) - np.float32(1))
    out: FloatImage = t * t * (np.float32(3) - np.float32(2) * t)
    return out


def viable_tumor(canvas: Canvas) -> Dyes:
    """Draw crowded pleomorphic nuclei on amphophilic cytoplasm with lace-like osteoid.

    Here and there osteoid takes over and the nuclei thin out; elsewhere the cytoplasm is
    scant and pale, as in small-cell tumors, and the mean color is that of inflammation.
    """
    patch = canvas.smooth(95.0, 101)
    sclerotic = ramp(canvas.smooth(260.0, 107), 0.20, 0.60)
    lace = ramp(np.abs(canvas.smooth(46.0, 102)), 0.10, 0.03) * ramp(patch, -0.05, 0.35)
    osteoid = np.maximum(lace, sclerotic * ramp(canvas.smooth(34.0, 108), -0.25, 0.05))
    texture = canvas.grain(3.0, 103)
    nuclei = canvas.cells(CellSpec(12.5, (2.6, 6.2), (1.0, 1.9), 0.36, 0.05), 104)
    ragged = CellField(nuclei.depth + (texture - np.float32(0.5)) * np.float32(1.8), nuclei.tone)
    body = ragged.inside(canvas.softness) * (1 - osteoid)
    vesicle = ramp(nuclei.depth, 0.6, 1.8)
    chromatin = (np.float32(0.85) + np.float32(0.75) * nuclei.tone) * (
        1 - np.float32(0.38) * vesicle
    )
    chromatin += (canvas.grain(1.7, 105) - np.float32(0.5)) * np.float32(0.7)
    cytoplasm = np.float32(0.30) + np.float32(0.22) * canvas.grain(18.0, 106) + texture * 0.16
    scant = ramp(canvas.smooth(290.0, 109), -0.10, 0.50)
    cytoplasm *= 1 - np.float32(0.48) * scant
    eosin = cytoplasm + np.float32(0.22) * osteoid - np.float32(0.10) * body * (1 - scant)
    cleft = ramp(nuclei.depth, -4.2, -6.0) * ramp(patch, 0.10, -0.45) * (1 - osteoid)
    eosin *= 1 - np.float32(0.75) * cleft
    hematoxylin = np.float32(0.14) * (1 - osteoid) * (1 - cleft) + body * chromatin
    return Dyes(hematoxylin, eosin)


def necrosis(canvas: Canvas) -> Dyes:
    """Draw pale granular debris with ghosts of nuclei and a few pyknotic dots.

    In some patches the ghosts still hold stain, in others all is washed out.
    """
    patch = canvas.smooth(120.0, 201)
    fresh = ramp(canvas.smooth(210.0, 207), 0.10, 0.60)
    coarse, fine = canvas.grain(9.0, 202), canvas.grain(2.3, 203)
    debris = np.float32(0.24) + np.float32(0.30) * coarse * fine + np.float32(0.13) * fine
    debris += np.float32(0.10) * patch
    ghosts = canvas.cells(CellSpec(13.5, (3.2, 6.4), (1.0, 1.6), 0.36, 0.22), 204)
    body = ghosts.inside(canvas.softness)
    rim = body * ramp(ghosts.depth, 1.9, 0.7)
    pallor = ramp(canvas.smooth(38.0, 205) + np.float32(0.4) * patch, 0.10, 0.42)
    eosin = debris * (1 - np.float32(0.62) * pallor * ramp(coarse, 0.25, 0.6))
    eosin += np.float32(0.14) * body * ghosts.tone + np.float32(0.07) * rim
    dots = canvas.cells(CellSpec(27.0, (1.1, 2.6), (1.0, 1.3), 0.4, 0.62), 206)
    dust = dots.inside(canvas.softness) * ramp(patch, -0.7, 0.2)
    hematoxylin = np.float32(0.05) + np.float32(0.07) * fine
    hematoxylin += (np.float32(0.06) + np.float32(0.16) * ghosts.tone) * rim
    hematoxylin += (np.float32(0.05) + np.float32(0.38) * fresh * ghosts.tone) * body
    hematoxylin += np.float32(1.15) * dust
    return Dyes(hematoxylin, eosin)


def _collagen(seed: int) -> FlowField:
    turn = subseed(seed, 301) / 2.0**32
    t = 2.0 * turn - 1.0  # rational circle: no transcendental function, same bits anywhere
    cos, sin = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
    bends = ((330.0, 210.0, subseed(seed, 302)), (75.0, 16.0, subseed(seed, 303)))
    return FlowField(cos, sin, bends)


def fibrosis(canvas: Canvas) -> Dyes:
    """Draw wavy collagen bundles, glassy where hyalinized, with thin spindle nuclei."""
    flow = _collagen(canvas.seed)
    phase = flow.phase(canvas.grid, 17.0)
    frayed = phase + np.float32(0.55) * canvas.smooth(27.0, 304)
    bundle = stripes(frayed)
    fibril = stripes(phase * np.float32(3.3) + np.float32(1.1) * canvas.smooth(13.0, 309))
    patch = canvas.smooth(140.0, 305)
    glassy = ramp(patch, -0.10, 0.40)
    contrast = 1 - np.float32(0.80) * glassy
    body_tone = np.float32(0.44) + np.float32(0.16) * canvas.smooth(55.0, 310)
    eosin = body_tone + np.float32(0.14) * glassy
    eosin += contrast * (np.float32(0.24) * (bundle - 0.5) + np.float32(0.16) * (fibril - 0.5))
    eosin += np.float32(0.13) * (canvas.grain(2.6, 306) - np.float32(0.5))
    cleft = ramp(bundle, 0.20, 0.04) * ramp(canvas.smooth(48.0, 307), -0.05, 0.3) * contrast
    eosin *= 1 - np.float32(0.88) * cleft
    spindles = canvas.cells(CellSpec(24.0, (2.4, 3.8), (2.8, 6.0), 0.36, 0.25), 308, flow)
    cellular = ramp(canvas.smooth(180.0, 311), -0.45, 0.25)
    body = spindles.inside(canvas.softness) * (ramp(spindles.tone, 0.62, 0.55) + cellular)
    np.minimum(body, 1, out=body)
    hematoxylin = np.float32(0.03) + np.float32(0.07) * contrast * fibril * (1 - cleft)
    hematoxylin += body * (np.float32(0.65) + np.float32(0.6) * spindles.tone)
    return Dyes(hematoxylin, eosin)


_CYSTS = CellSpec(215.0, (38.0, 92.0), (1.0, 1.5), 0.3, 0.22)


def cyst_depth(canvas: Canvas) -> FloatImage:
    """Return the depth inside a cyst, µm, negative in the blood around."""
    depth = canvas.cells(_CYSTS, 401).depth
    depth += np.float32(14.0) * canvas.smooth(60.0, 402)
    return depth


def hemorrhage(canvas: Canvas) -> Dyes:
    """Draw lakes of packed red cells and near-empty cysts with a thin rim."""
    depth = cyst_depth(canvas)
    cyst = ramp(depth, -0.5 * canvas.softness, 0.5 * canvas.softness)
    wall = ramp(depth, -13.0, -9.0) * (1 - cyst)
    patch = canvas.smooth(85.0, 403)
    reds = canvas.cells(CellSpec(6.6, (2.7, 3.7), (1.0, 1.35), 0.3, 0.04), 404)
    disk = reds.inside(canvas.softness)
    dimple = ramp(reds.depth, 0.6, 1.6)
    blood = disk * (np.float32(1.15) + np.float32(0.75) * reds.tone - np.float32(0.25) * dimple)
    blood += np.float32(0.22)
    blood += np.float32(0.10) * canvas.grain(2.0, 405)
    loose = ramp(patch, 0.15, 0.6)
    blood *= (1 - np.float32(0.55) * loose) * (1 - cyst) * (1 - wall)
    fibrin = ramp(np.abs(canvas.smooth(52.0, 406)), 0.07, 0.02) * loose
    lake = (np.float32(0.10) + np.float32(0.30) * fibrin) * (1 - cyst) * (1 - wall)
    texture = canvas.grain(4.0, 407)
    eosin = lake + wall * (np.float32(0.42) + np.float32(0.2) * texture)
    eosin += cyst * (np.float32(0.03) + np.float32(0.05) * texture * canvas.grain(30.0, 408))
    whites = canvas.cells(CellSpec(21.0, (2.6, 3.6), (1.0, 1.7), 0.4, 0.55), 409)
    body = whites.inside(canvas.softness) * (1 - cyst) * (np.float32(0.35) + wall)
    hematoxylin = np.float32(0.9) * body
    return Dyes(hematoxylin, eosin, blood)


def inflammation(canvas: Canvas) -> Dyes:
    """Draw sheets of small, round, uniform blue-black cells on a pale ground.

    The sheets loosen in edematous patches, where pink fibers show.
    """
    patch = canvas.smooth(70.0, 501)
    edema = ramp(canvas.smooth(230.0, 506), 0.05, 0.55)
    cells = canvas.cells(CellSpec(7.6, (2.3, 3.0), (1.0, 1.15), 0.34, 0.10), 502)
    loose = np.maximum(ramp(patch, 0.30, 0.65), np.float32(0.8) * edema)
    body = cells.inside(canvas.softness) * ramp(cells.tone - loose * np.float32(0.75), -0.05, 0.0)
    texture = canvas.grain(3.5, 503)
    fiber = ramp(np.abs(canvas.smooth(24.0, 507)), 0.16, 0.03)
    plasmacytic = ramp(canvas.smooth(250.0, 508), -0.05, 0.50)
    eosin = np.float32(0.15) + np.float32(0.16) * texture + np.float32(0.16) * loose * fiber
    eosin += np.float32(0.17) * plasmacytic
    eosin += np.float32(0.12) * body
    hematoxylin = np.float32(0.10) + np.float32(0.08) * canvas.grain(14.0, 504)
    hematoxylin *= 1 - np.float32(0.5) * loose
    hematoxylin += body * (np.float32(1.05) + np.float32(0.35) * cells.tone)
    hematoxylin += body * np.float32(0.35) * (canvas.grain(1.5, 505) - np.float32(0.5))
    return Dyes(hematoxylin, eosin)


def bone_depth(canvas: Canvas) -> FloatImage:
    """Return the depth inside bone in µm, negative in the marrow; about exact at the edge."""
    ridge = canvas.smooth(270.0, 601) + np.float32(0.22) * canvas.smooth(95.0, 602)
    thickness = np.float32(0.20) + np.float32(0.16) * canvas.smooth(520.0, 603)
    return (thickness - np.abs(ridge)) * np.float32(150.0)


def non_tumor(canvas: Canvas) -> Dyes:
    """Draw lamellar bone with lacunae, and fatty marrow between the trabeculae."""
    depth = bone_depth(canvas)
    bone = ramp(depth, -0.5 * canvas.softness, 0.5 * canvas.softness)
    space = 1 - bone
    lamella = stripes(depth * np.float32(1 / 7.0) + np.float32(1.4) * canvas.smooth(45.0, 604))
    matrix = np.float32(0.78) + np.float32(0.16) * canvas.smooth(160.0, 605)
    matrix += np.float32(0.10) * (lamella - 0.5) + np.float32(0.05) * canvas.grain(2.5, 606)
    lacunae = canvas.cells(CellSpec(36.0, (2.6, 4.2), (1.3, 2.8), 0.4, 0.25), 607)
    hollow = lacunae.inside(canvas.softness)
    kernel = ramp(lacunae.depth, 0.4, 1.4) * ramp(lacunae.tone, 0.3, 0.35)
    fat = canvas.cells(CellSpec(40.0, (15.0, 22.5), (1.0, 1.3), 0.26, 0.10), 608)
    cellular = ramp(canvas.smooth(240.0, 612), 0.05, 0.5)
    fat = CellField(fat.depth - np.float32(24.0) * cellular * ramp(fat.tone, 0.2, 0.3), fat.tone)
    vacuole = fat.inside(canvas.softness)
    membrane = ramp(fat.depth, -2.6, -1.2) * (1 - vacuole)
    blood_cells = canvas.cells(CellSpec(8.2, (2.1, 3.6), (1.0, 1.5), 0.36, 0.22), 609)
    between = ramp(fat.depth, -1.5, -4.5) * ramp(canvas.smooth(110.0, 610), -0.55, -0.1)
    body = blood_cells.inside(canvas.softness) * between
    eosin = bone * matrix * (1 - np.float32(0.9) * hollow)
    marrow = np.float32(0.30) * membrane + between * (
        np.float32(0.16) + np.float32(0.16) * canvas.grain(3.0, 611)
    )
    eosin += space * (marrow + np.float32(0.015))
    osteoid = ramp(depth, 5.0, 1.5) * bone
    hematoxylin = bone * (np.float32(0.04) + np.float32(0.14) * osteoid)
    hematoxylin += bone * hollow * kernel * np.float32(0.9)
    hematoxylin += space * body * (np.float32(0.75) + np.float32(0.5) * blood_cells.tone)
    hematoxylin += space * np.float32(0.06) * membrane
    return Dyes(hematoxylin, eosin)


TEXTURES = {
    VT: viable_tumor,
    NC: necrosis,
    FH: fibrosis,
    HC: hemorrhage,
    IF: inflammation,
    NT: non_tumor,
}
"""How to draw each class; background is bare glass."""

STRUCTURES = {HC: cyst_depth, NT: bone_depth}
"""For classes made of two materials, a depth in µm that is positive in the second."""
