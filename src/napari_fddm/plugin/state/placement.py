"""Position and scale of an image in napari's world, and the pixel size that follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pint

from napari_fddm.core.errors import ConfigError
from napari_fddm.slides.mpp import MppClaim

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_fddm.core.geometry import YX, MapGeometry

MICROMETERS = ("um", "um")
SOURCE = "layer"
"""The source of an `Mpp` whose value is the scale of a layer."""
_SKEW = 1e-6
"""Shares of rotation and shear up to this are rounding errors."""
_REMEDY = "Give it a plain scale and translation: results cannot be laid over other images."


@dataclass(frozen=True, slots=True)
class Placement:
    """Scale and translation from pixel centers of an image to napari's world.

    Attributes
    ----------
    scale, translate : tuple of float
        (y, x), in the layer's units.
    units : tuple of str
        Units of the y and x axis; "pixel" where the layer has none.
    """

    scale: YX
    translate: YX
    units: tuple[str, str]

    @classmethod
    def of_slide(cls, mpp: float | None) -> Placement:
        """Return how this plugin places a slide: in µm, or in pixels if its size is unknown."""
        if mpp is None:
            return cls((1.0, 1.0), (0.0, 0.0), ("pixel", "pixel"))
        return cls((mpp, mpp), (0.0, 0.0), MICROMETERS)

    @classmethod
    def of_layer(cls, layer: Layer) -> Placement:
        """Return the placement of the last two axes of an image layer.

        Raises
        ------
        ConfigError
            If the layer is rotated, sheared or mirrored.
        """
        ndim = layer.ndim
        origin = np.asarray(layer.data_to_world((0.0,) * ndim), float)
        steps = [
            np.asarray(layer.data_to_world(tuple(np.eye(ndim)[axis])), float) - origin
            for axis in (ndim - 2, ndim - 1)
        ]
        matrix = np.stack(steps, axis=1)  # (world axes, data axes)
        scale = np.array([matrix[-2, 0], matrix[-1, 1]])
        rest = matrix.copy()
        rest[-2, 0] = rest[-1, 1] = 0.0
        if np.abs(rest).max() > _SKEW * np.abs(matrix).max():
            raise ConfigError(f"The layer {layer.name} is rotated or sheared.", hint=_REMEDY)
        if scale.min() <= 0:
            raise ConfigError(f"The layer {layer.name} is mirrored.", hint=_REMEDY)
        y, x = (str(unit) for unit in layer.units[-2:])
        return cls(
            (float(scale[0]), float(scale[1])), (float(origin[-2]), float(origin[-1])), (y, x)
        )

    @property
    def claim(self) -> MppClaim | None:
        """The pixel size that the layer's scale states; None without a unit of length."""
        um = [_um(unit) for unit in self.units]
        if um[0] is None or um[1] is None:
            return None
        return MppClaim(self.scale[0] * um[0], self.scale[1] * um[1], SOURCE)

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments for a layer whose data coordinates are the image's pixels."""
        return {
            "scale": self.scale,
            "translate": self.translate,
            "units": self.units,
            "axis_labels": ("y", "x"),
        }

    def of_map(self, geometry: MapGeometry) -> dict[str, Any]:
        """Return the keyword arguments for a layer that shows a map of cells over the image."""
        scale = tuple(geometry.cell * s for s in self.scale)
        translate = tuple(
            (start + geometry.cell / 2 - 0.5) * s + t
            for start, s, t in zip(geometry.origin, self.scale, self.translate, strict=True)
        )
        return self.options | {"scale": scale, "translate": translate}


def _um(unit: str) -> float | None:
    registry = pint.get_application_registry()
    try:
        return float(registry.Quantity(1.0, unit).to("micrometer").magnitude)
    except (pint.DimensionalityError, pint.UndefinedUnitError):
        return None
