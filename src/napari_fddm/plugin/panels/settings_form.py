"""The settings of a run as a form; its names are those of `AnalysisConfig`."""

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
"""What the window calls a setting."""
DEVICE_TITLES = {
    "auto": "automatic",
    "cpu": "CPU",
    "cuda": "CUDA GPU (speed unmeasured)",
    "mps": "Apple GPU (speed unmeasured)",
}


NAMES = ("steps", "eta", "seed", "label_mpp", "overlap", "blank_filter", "device")
"""The settings that are rarely changed."""


def advanced_settings(devices: Sequence[str]) -> Container[Any]:
    """Return the settings of `NAMES` as widgets, offering these devices."""
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
                tooltip="Network calls per region; 1 is the direct refiner.",
            ),
            FloatSlider(
                name="eta",
                label=TITLES["eta"],
                value=default.eta,
                min=0.0,
                max=1.0,
                tooltip="1: exact posterior; 0: without noise.",
            ),
            SpinBox(
                name="seed",
                label=TITLES["seed"],
                value=default.seed,
                max=2**31 - 1,
                tooltip="Of the noise: the same seed gives the same labels.",
            ),
            FloatSpinBox(
                name="label_mpp",
                label=TITLES["label_mpp"],
                value=default.label_mpp,
                min=1.0,
                max=16.0,
                step=1.0,
                tooltip="Edge of a cell of the label map: what the brush can resolve.",
            ),
            SpinBox(
                name="overlap",
                label=TITLES["overlap"],
                value=default.overlap,
                max=128,
                tooltip="px by which the tiles that the network sees overlap; FDDM has 16. "
                "The run takes longer.",
            ),
            CheckBox(
                name="blank_filter",
                label=TITLES["blank_filter"],
                value=default.blank_filter,
                tooltip="Take tiles without edges for background, as FDDM does. A tile of pale, "
                "homogeneous necrosis has no edges either.",
            ),
            ComboBox(
                name="device",
                label=TITLES["device"],
                choices=device_choices(devices),
                value=default.device,
                tooltip="Where the networks run; only what this computer has is offered.",
            ),
        ]
    )


def device_choices(present: Sequence[str]) -> list[tuple[str, str]]:
    """Return (title, value) of the devices that can be chosen."""
    return [(DEVICE_TITLES[name], name) for name in ("auto", *present)]


def set_values(form: Container[Any], values: Mapping[str, Any]) -> None:
    """Show other values; names that the form does not have are left out."""
    for widget in form:
        if widget.name in values:
            widget.value = values[widget.name]


def map_size_text(shape: tuple[int, int], mpp: float, label_mpp: float) -> str:
    """Say how much memory a label map takes, before it is made.

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
        text += " That is large: painting becomes slow."
    return text


LARGE_SIDE = 16_384
"""Cells along a side from which on a map is more than common graphics cards draw at once."""
