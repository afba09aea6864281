"""Units of length in micrometers: by name, as OME-NGFF writes them, and by symbol, as OME-XML."""

from __future__ import annotations

UM_PER_UNIT = {
    "angstrom": 1e-4,
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "meter": 1e6,
}
"""Micrometers in each unit, by its name."""
UM_PER_SYMBOL = {
    "m": 1e6, "cm": 1e4, "mm": 1e3, "µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3, "å": 1e-4,
}  # fmt: skip
"""Micrometers in each unit, by its symbol in lower case; both code points of µ are in use."""
