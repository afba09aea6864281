"""A user's own tissue mask: of the whole slide or of a part of it, non-zero where tissue is."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import MapGeometry, Region
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.text import quoted, visible
from napari_fddm.core.tissue import MASK_UM, tissue_of_image, tissue_of_placed
from napari_fddm.interop.stated_sizes import spans
from napari_fddm.pipeline.tissue.mask_files import CELL, MaskPicture, read_mask_picture
from napari_fddm.pipeline.tissue.outline_mask import OutlineMask, is_outline_file, read_outline_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_fddm.core.tissue import TissueMask

    Mask = npt.NDArray[np.bool_]

__all__ = ["AUTOMATIC", "CELL", "UserMask", "check_tissue", "read_user_mask"]

AUTOMATIC = ("auto", "all")
MAX_ASPECT_ERROR = 0.01
"""Relative error allowed beyond rounding to whole pixels; masks of other slides differ more."""


@dataclass(frozen=True, slots=True)
class UserMask:
    """A mask as its file holds it.

    Attributes
    ----------
    name : str
        File name, for messages and reports.
    image : array of bool, shape (h, w)
        True on tissue.
    cell : float or None
        Level-0 px per pixel, where the file holds it for a mask that begins at the slide's
        corner.
    place : MapGeometry or None
        Where the file says that the mask lies; without this and ``cell`` it covers the slide.
    exact : bool
        Whether the place is in level-0 px; else it is in micrometers, its own pixel being
        the level-0 px.
    begins : bool
        Whether the file says where the mask begins.
    um : tuple of float or None
        (y, x) of a pixel, µm, as a picture without a place states it.
    unit_problem : str
        Why a label map has no place; it must then have the size of a level of the slide.
    notes : tuple of str
        What is to be said about the file.
    """

    name: str
    image: Mask
    cell: float | None = None
    place: MapGeometry | None = None
    exact: bool = False
    begins: bool = False
    um: tuple[float, float] | None = None
    unit_problem: str = ""
    notes: tuple[str, ...] = ()

    @classmethod
    def of_picture(cls, picture: MaskPicture) -> UserMask:
        """Make a mask of what was read."""
        mask = cls(picture.name, picture.image, picture.cell, notes=picture.notes)
        label = picture.label
        if label is None:
            return replace(mask, um=picture.size.um if picture.size is not None else None)
        if label.geometry is None:
            return replace(mask, unit_problem=label.unit_problem, begins=label.placed)
        if label.exact and label.geometry.origin == (0.0, 0.0):
            return replace(mask, cell=label.geometry.cell)
        return replace(mask, place=label.geometry, exact=label.exact, begins=label.placed)

    @property
    def sha256(self) -> str:
        """Identity of the content and its place, independent of the file format."""
        digest = hashlib.sha256(repr((self.image.shape, self.cell)).encode())
        if self.place is not None:
            digest.update(repr((self.place, self.exact, self.begins)).encode())
        digest.update(np.packbits(self.image).tobytes())
        return digest.hexdigest()

    def record(self) -> dict[str, Any]:
        """Return what provenance records."""
        return {"method": "mask", "name": self.name, "sha256": self.sha256}

    def check_fits(
        self,
        slide_shape: tuple[int, int],
        slide_name: str,
        mpp: float,
        levels: Sequence[tuple[int, int]] = (),
    ) -> tuple[str, ...]:
        """Refuse a mask that is not of this slide, and return what is to be said about it.

        Parameters
        ----------
        slide_shape : tuple of int
            (height, width), level-0 px.
        slide_name : str
            For messages.
        mpp : float
            Micrometers per level-0 px.
        levels : sequence of tuple of int
            (height, width) of the slide's levels, finest first.

        Raises
        ------
        ConfigError
            If its proportions, size or place do not fit, or it marks no tissue on the slide.
        """
        notes = list(self.notes)
        if self.unit_problem:
            notes.append(self._level_note(levels, slide_name))
        crop = self._crop(slide_shape, mpp)
        if crop is not None:
            notes.append(self._crop_note(crop, slide_shape, slide_name))
        elif not self._covers(slide_shape, mpp):
            raise self._misfit(slide_shape, slide_name, mpp)
        grid = MapGeometry.covering(slide_shape, MASK_UM / mpp, mpp)
        if not self.on_grid(grid, slide_shape).mask.any():
            raise ConfigError(
                f"the tissue mask {visible(self.name)} marks no tissue on {visible(slide_name)}.",
                hint="It must be non-zero where tissue is.",
            )
        return tuple(notes)

    def on_grid(self, geometry: MapGeometry, slide_shape: tuple[int, int]) -> TissueMask:
        """Return the mask, resampled to a slide's mask grid."""
        crop = self._crop(slide_shape, geometry.mpp)
        if crop is not None:
            return tissue_of_placed(self.image, crop, geometry, slide_shape)
        return tissue_of_image(self.image, self._extent(slide_shape), geometry)

    def _on_slide(self, mpp: float) -> MapGeometry | None:
        """Return its place in the slide's level-0 px."""
        if self.place is None:
            return None
        if self.exact:
            return replace(self.place, mpp=mpp)
        cell = self.place.cell_um / mpp
        y, x = (center / mpp + 0.5 - cell / 2 for center in self.place.translate)
        return MapGeometry(self.place.shape, cell, mpp, (y, x))

    def _crop(self, slide_shape: tuple[int, int], mpp: float) -> MapGeometry | None:
        """Return where a mask of a part of the slide lies; None if it covers the slide."""
        place = self._on_slide(mpp)
        if place is None or not self.begins or self._covers(slide_shape, mpp):
            return None
        sides = zip(place.shape, slide_shape, strict=True)
        larger = any(n * place.cell > side * 1.01 + place.cell for n, side in sides)
        whole = Region(0.0, 0.0, *map(float, slide_shape))
        return None if larger or place.region.intersection(whole).is_empty else place

    def _covers(self, slide_shape: tuple[int, int], mpp: float) -> bool:
        """Whether it is a mask of the whole slide, by its size and by all that its file says."""
        height, width = self._extent(slide_shape)
        rows, cols = self.image.shape
        if self.cell is not None:
            sides = zip((height, width), slide_shape, strict=True)
            return all(-1.0 <= long - short < self.cell + 1.0 for long, short in sides)
        place = self._on_slide(mpp)
        if place is not None:
            ratios = (
                abs(math.log(n * place.cell / side)) <= MAX_ASPECT_ERROR + 1 / n
                for n, side in zip(place.shape, slide_shape, strict=True)
            )
            return all(ratios) and all(abs(float(o)) <= place.cell for o in place.origin)
        slide_um = (slide_shape[0] * mpp, slide_shape[1] * mpp)
        if self.um is not None and not spans(self.um, (rows, cols), slide_um):
            return False
        # Either side may have been rounded by one pixel.
        off_square = abs(math.log((height / width) / (rows / cols)))
        return bool(off_square <= MAX_ASPECT_ERROR + 1 / rows + 1 / cols)

    def _extent(self, slide_shape: tuple[int, int]) -> tuple[float, float]:
        if self.cell is None:
            return (float(slide_shape[0]), float(slide_shape[1]))
        return (self.image.shape[0] * self.cell, self.image.shape[1] * self.cell)

    def _level_note(self, levels: Sequence[tuple[int, int]], slide_name: str) -> str:
        """Return which level of the slide has the size of a mask without a unit.

        Raises
        ------
        ConfigError
            If there is none.
        """
        rows, cols = self.image.shape
        for number, shape in enumerate(() if self.begins else levels):
            if tuple(shape) == (rows, cols):
                return (
                    f"the tissue mask {self.name} has no unit; its {cols} × {rows} px are those of "
                    f"level {number} of {slide_name}, so it is taken as a mask of the whole slide"
                )
        raise ConfigError(
            f"the tissue mask {visible(self.name)} has no unit: {self.unit_problem}.",
            hint="Write a unit, such as micrometer, into the axes of its multiscales, or give a "
            "PNG or TIFF, which covers the whole slide.",
        )

    def _crop_note(self, place: MapGeometry, slide_shape: tuple[int, int], slide_name: str) -> str:
        mpp = place.mpp
        whole = Region(0.0, 0.0, *map(float, slide_shape))
        inside = place.region.intersection(whole)
        mm2 = (mpp / 1000) ** 2
        area, slide_area = (r.height * r.width * mm2 for r in (inside, whole))
        beyond = place.region.height * place.region.width * mm2 - area
        more = f" {beyond:.3g} mm² of it lie outside the slide." if beyond > 0.01 * area else ""
        return (
            f"the tissue mask {self.name} covers {area:.3g} of the {slide_area:.3g} mm² of "
            f"{slide_name}, from y, x {place.origin[0] * mpp:.0f}, {place.origin[1] * mpp:.0f} µm: "
            f"outside of it nothing counts as tissue.{more}".rstrip(".")
        )

    def _misfit(self, slide_shape: tuple[int, int], slide_name: str, mpp: float) -> ConfigError:
        rows, cols = self.image.shape
        height, width = slide_shape
        hint = (
            "A mask covers the whole slide, at any scale: its sides must have the slide's "
            "proportions."
        )
        stated = ""
        place = self._on_slide(mpp)
        if place is not None:
            y, x = (o * mpp for o in place.origin)
            stated = f" of {place.cell * mpp:.3g} µm, from y, x {y:.0f}, {x:.0f} µm,"
            hint = "Correct its pixel size and translation, or give a mask of this slide."
            if not self.begins:
                hint = (
                    "A mask of a part of a slide needs a translation in its multiscales, "
                    "which says where it begins."
                )
        elif self.um is not None:
            stated = f" of {self.um[1]:.3g} × {self.um[0]:.3g} µm, as it states,"
        return ConfigError(
            f"the tissue mask {visible(self.name)} has {cols} × {rows} px{stated} which does not "
            f"fit {visible(slide_name)} with {width} × {height} px of {mpp:.3g} µm.",
            hint=hint,
        )


def check_tissue(tissue: str) -> None:
    """Refuse a setting that is neither "auto" nor "all" nor names something on disk.

    Raises
    ------
    ConfigError
        Naming what is allowed.
    """
    if tissue in AUTOMATIC:
        return
    with reading("a tissue mask", quoted(tissue), error=ConfigError):
        found = Path(tissue).exists()
    if not found:
        raise ConfigError(
            f"--tissue cannot be {quoted(tissue)}: it must be auto, all or the file of a mask, "
            "and there is no such file."
        )


def read_user_mask(tissue: str) -> UserMask | OutlineMask | None:
    """Read the mask that a setting names; None for "auto" and "all".

    Raises
    ------
    ConfigError
        If it is none of these, or the file is not a mask.
    """
    check_tissue(tissue)
    if tissue in AUTOMATIC:
        return None
    path = Path(tissue)
    if is_outline_file(path):
        return read_outline_mask(path)
    return UserMask.of_picture(read_mask_picture(path))
