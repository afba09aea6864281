"""The form of advanced run settings; its fields have the names of `AnalysisConfig`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fddm.core.config import AnalysisConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from magicgui.widgets import Container

TITLES = {
    "stage": "Stage",
    "steps": "Bridge steps",
    "samples": "Samples",
    "eta": "Eta",
    "seed": "Seed",
    "label_mpp": "Label grid, µm",
    "overlap": "Overlap, px",
    "blank_filter": "Blank filter",
    "device": "Device",
    "tissue": "Tissue mask",
    "mpp": "Pixel size, µm",
    "model": "Model",
    "weights": "Weights",
    "slide": "Slide",
}
"""Titles of the settings in the window."""
DEVICE_TITLES = {
    "auto": "automatic",
    "cpu": "CPU",
    "cuda": "CUDA GPU (speed unmeasured)",
    "mps": "Apple GPU (speed unmeasured)",
}
LARGE_SIDE = 16_384
"""Cells along a side; larger maps exceed the texture size of common graphics cards."""
NAMES = ("steps", "eta", "seed", "label_mpp", "overlap", "blank_filter", "device")
"""The settings that the form offers."""


def advanced_settings(devices: Sequence[str]) -> Container[Any]:
    """Return a form of the settings in `NAMES` that offers these devices."""
    from magicgui.widgets import CheckBox, ComboBox, Container, FloatSlider, FloatSpinBox, SpinBox

    default = AnalysisConfig()
    return Container(
        widgets=[
            SpinBox(
                name="steps",
                label=TITLES["steps"],
                value=default.steps,
                min=1,
                max=100,
                tooltip="Network calls per region. 1 refines in a single step.",
            ),
            FloatSlider(
                name="eta",
                label=TITLES["eta"],
                value=default.eta,
                min=0.0,
                max=1.0,
                tooltip="Noise of the bridge. 1: samples the exact posterior. 0: no noise.",
            ),
            SpinBox(
                name="seed",
                label=TITLES["seed"],
                value=default.seed,
                max=2**31 - 1,
                tooltip="Seed of the noise. The same seed gives the same labels.",
            ),
            FloatSpinBox(
                name="label_mpp",
                label=TITLES["label_mpp"],
                value=default.label_mpp,
                min=1.0,
                max=16.0,
                step=1.0,
                tooltip="Edge of a cell of the label map: the smallest area that the brush paints.",
            ),
            SpinBox(
                name="overlap",
                label=TITLES["overlap"],
                value=default.overlap,
                max=128,
                tooltip="Overlap of the tiles that the network sees; the FDDM paper has 16 px. "
                "More overlap takes longer.",
            ),
            CheckBox(
                name="blank_filter",
                label=TITLES["blank_filter"],
                value=default.blank_filter,
                tooltip="Treat tiles without edges as background, as the FDDM paper does. Tiles of "
                "pale, homogeneous necrosis have no edges either.",
            ),
            ComboBox(
                name="device",
                label=TITLES["device"],
                choices=device_choices(devices),
                value=default.device,
                tooltip="Device that runs the networks; only those of this computer are offered.",
            ),
        ]
    )


def device_choices(present: Sequence[str]) -> list[tuple[str, str]]:
    """Return the devices to choose from as (title, value)."""
    return [(DEVICE_TITLES[name], name) for name in ("auto", *present)]


def set_values(form: Container[Any], values: Mapping[str, Any]) -> None:
    """Set the values of the form; names that it does not have are ignored."""
    for widget in form:
        if widget.name in values:
            widget.value = values[widget.name]


def map_size_text(shape: tuple[int, int], mpp: float, label_mpp: float) -> str:
    """Return a text on the size of a label map, and a warning if painting becomes slow.

    Parameters
    ----------
    shape : tuple of int
        (height, width) of the slide, level-0 px.
    mpp, label_mpp : float
        µm per level-0 px and per label cell.
    """
    rows, cols = (max(1, round(n * mpp / label_mpp)) for n in shape)
    text = f"The label map has {cols} × {rows} cells, {rows * cols / 1e6:.3g} MB."
    if max(rows, cols) > LARGE_SIDE:
        text += " Painting becomes slow at this size."
    return text
