"""The size of a pixel is what the file states, in the unit it states; else there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from napari_fddm.interop.tiff_pictures import read_tiff

if TYPE_CHECKING:
    from pathlib import Path

IMAGEJ = {"imagej": True, "resolution": (0.25, 0.25)}


def ome(size: float, unit: str | None = None) -> dict[str, Any]:
    about: dict[str, Any] = {"PhysicalSizeX": size, "PhysicalSizeY": size}
    if unit:
        about |= {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    return {"ome": True, "metadata": about}


@pytest.mark.parametrize(
    ("options", "um", "problem"),
    [
        ({}, None, ""),
        (ome(4.0), 4.0, ""),  # OME-XML's own default
        (ome(4000.0, "nm"), 4.0, ""),
        (ome(4.0, "furlong"), None, "'furlong', is no known length"),
        (IMAGEJ, None, ""),
        (IMAGEJ | {"metadata": {"unit": "pixel"}}, None, ""),
        (IMAGEJ | {"metadata": {"unit": "um"}}, 4.0, ""),
        (IMAGEJ | {"metadata": {"unit": "parsec"}}, None, "'parsec', is no known length"),
        ({"resolution": (2500, 2500), "resolutionunit": "CENTIMETER"}, 4.0, ""),
        ({"resolution": (6350, 6350), "resolutionunit": "INCH"}, 4.0, ""),
        ({"resolution": (6350, 6350), "resolutionunit": "NONE"}, None, ""),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, None, ""),  # a screen's
    ],
)
def test_the_size_is_what_the_file_states(tmp_path: Path, options, um, problem):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((20, 30), np.uint8), **options)
    found = read_tiff(tmp_path / "a.tif", "a mask").size
    assert found.um == (None if um is None else pytest.approx((um, um)))
    assert problem in found.problem
    assert bool(found.problem) == bool(problem)
