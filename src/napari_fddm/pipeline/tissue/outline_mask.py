"""A user's own tissue mask drawn as outlines: GeoJSON, in level-0 px of the slide."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import ConfigError, DataError
from napari_fddm.core.outlines import ring_cells
from napari_fddm.core.outside.text import visible
from napari_fddm.core.tissue import TissueMask
from napari_fddm.interop.geojson import is_geojson, read_outlines
from napari_fddm.interop.outline_marks import (
    hides,
    is_region,
    marked_notes,
    without_area_notes,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_fddm.core.geometry import MapGeometry

    Rings = tuple[npt.NDArray[np.float64], ...]

MIN_ON_SLIDE_PX = 1.0
"""Outlines that reach less far onto the slide are drawn along its edge, level-0 px."""


@dataclass(frozen=True, slots=True, eq=False)
class OutlineMask:
    """Outlines of tissue.

    Attributes
    ----------
    name : str
        File name, for messages and reports.
    outlines : tuple of tuple of array of float, shape (corners, 2)
        Of each outline: the outer ring, then the holes; (y, x) in level-0 px.
    hiding : tuple of the same
        Outlines of classes that are left out: what lies under them is no tissue.
    notes : tuple of str
        What is left out of the file.
    """

    name: str
    outlines: tuple[Rings, ...]
    hiding: tuple[Rings, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Identity of the content."""
        digest = hashlib.sha256(b"outlines")
        for group in (self.outlines, self.hiding):
            digest.update(repr([[r.shape for r in rings] for rings in group]).encode())
            for rings in group:
                for ring in rings:
                    digest.update(np.ascontiguousarray(ring).tobytes())
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
        """Refuse outlines of which none lies on this slide, and return what is to be said.

        Parameters are those of `UserMask.check_fits`.

        Raises
        ------
        ConfigError
            If all lie off the slide, or cover no tissue.
        """
        del mpp, levels
        height, width = slide_shape
        reach = [(rings[0].min(axis=0), rings[0].max(axis=0)) for rings in self.outlines]
        least = MIN_ON_SLIDE_PX
        on = [bool((low < (height - least, width - least)).all() and (high > least).all())
              for low, high in reach]  # fmt: skip
        if not any(on):
            (y0, x0), (y1, x1) = (
                pick([r[k] for r in reach], axis=0) for k, pick in enumerate((np.min, np.max))
            )
            raise ConfigError(
                f"all outlines of {visible(self.name)} lie outside the slide "
                f"{visible(slide_name)} of {width} × {height} px: they reach from x {x0:g}, "
                f"y {y0:g} to x {x1:g}, y {y1:g}.",
                hint="Are they another slide's, or in micrometers? They must be in pixels of the "
                "slide's full resolution.",
            )
        off = on.count(False)
        if not off:
            return self.notes
        return (*self.notes, f"{off} of {len(on)} outlines of {self.name} lie outside the slide")

    def on_grid(self, geometry: MapGeometry, slide_shape: tuple[int, int]) -> TissueMask:
        """Return the cells of a slide's mask grid whose centers lie in an outline.

        Raises
        ------
        ConfigError
            If there is none.
        """
        del slide_shape
        mask = self.cells(geometry)
        if not mask.any():
            raise ConfigError(
                f"the outlines of {visible(self.name)} cover no tissue.",
                hint="They are too small, or lie under outlines of a class that is left out.",
            )
        return TissueMask(mask, geometry, "mask")

    def cells(self, geometry: MapGeometry) -> npt.NDArray[np.bool_]:
        """Return the cells of any map of the slide whose centers lie in an outline."""
        mask = np.zeros(geometry.shape, bool)
        for value, group in ((True, self.outlines), (False, self.hiding)):
            for rings in group:
                window, inside = ring_cells(rings, geometry)
                if not window.is_empty:
                    mask[window.slices][inside] = value
        return mask


def is_outline_file(path: Path) -> bool:
    """Whether a file holds outlines, by its name."""
    return is_geojson(path) and not path.is_dir()


def read_outline_mask(path: Path) -> OutlineMask:
    """Read outlines of tissue; every polygon counts, but for those of classes left out.

    Raises
    ------
    ConfigError
        If it is no GeoJSON, or holds no outline of tissue.
    """
    try:
        file = read_outlines(path)
    except DataError as error:
        raise ConfigError(error.message, hint=error.hint) from error
    every = (*file.outlines, *file.unnamed)
    outlines = tuple(o.rings for o in every if not hides(o.name) and not is_region(o.name))
    hiding = [o for o in every if hides(o.name)]
    found = marked_notes(hiding, (o for o in every if is_region(o.name)))
    notes = [f"{path.name}: {note}" for note in (*found, *without_area_notes(file))]
    if not outlines:
        left_out = f": {'; '.join(notes)}" if notes else ""
        raise ConfigError(
            f"{visible(path)} holds no outline of tissue{left_out}.",
            hint="Draw tissue as polygons, of any class whose name does not end in *.",
        )
    return OutlineMask(path.name, outlines, tuple(o.rings for o in hiding), tuple(notes))
