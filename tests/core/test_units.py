"""Units of length in every spelling that the field writes."""

from __future__ import annotations

import pytest

from napari_fddm.core.units import um_per_unit


@pytest.mark.parametrize(
    ("texts", "um"),
    [
        (("um", "µm", "μm", "UM", " micron ", "Microns", "micrometer", "micrometre", "\\u00B5m",
          "&#181;m", "&micro;m"), 1.0),
        (("nm", "nanometers", "Nanometer"), 1e-3),
        (("mm", "MM", "millimetre"), 1e3),
        (("cm", "Centimeter"), 1e4),
        (("m", "meter"), 1e6),
        (("in", "inch", "Inches"), 25_400.0),
        (("angstrom", "Å", "\u212b", "ångström"), 1e-4),
    ],
)  # fmt: skip
def test_every_spelling_is_understood(texts: tuple[str, ...], um: float):
    assert {um_per_unit(text) for text in texts} == {um}


@pytest.mark.parametrize("text", ["", "px", "pixel", "furlong", "Mm", "none", "1 um", "null"])
def test_what_is_no_length_is_not_guessed(text: str):
    assert um_per_unit(text) is None
