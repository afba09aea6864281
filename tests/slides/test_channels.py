"""Tests of `napari_fddm.slides.channels`: names before colors, and nothing from the position."""

from __future__ import annotations

import pytest

from napari_fddm.slides.channels import Channel, rgb_order
from napari_fddm.slides.tiff_level import NotBrightfieldError

RED, GREEN, BLUE, MAGENTA = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 0, 255)
WHITE = (255, 255, 255)


def _named(*names: str) -> list[Channel]:
    return [Channel(name) for name in names]


@pytest.mark.parametrize(
    ("channels", "order"),
    [
        (_named("Red", "Green", "Blue"), (0, 1, 2)),
        (_named("Blue", "Green", "Red"), (2, 1, 0)),
        (_named("b", "r", "g"), (1, 2, 0)),
        (_named("Channel red", "BF_green", "brightfield-blue"), (0, 1, 2)),
        (_named("alpha", "R", "G", "B"), (1, 2, 3)),
        ([Channel("Red", WHITE), Channel("Green", WHITE), Channel("Blue", WHITE)], (0, 1, 2)),
        ([Channel("Channel 0", BLUE), Channel("Channel 1", GREEN), Channel("", RED)], (2, 1, 0)),
        ([Channel("", WHITE)] * 3, None),
        (_named("Channel:0:0", "Channel:0:1", "Channel:0:2"), None),
        (_named("0", "C1", ""), None),
    ],
)
def test_order(channels: list[Channel], order: tuple[int, int, int] | None) -> None:
    assert rgb_order(channels) == order


@pytest.mark.parametrize(
    ("channels", "quoted"),
    [
        (_named("DAPI", "FITC", "Cy5"), "'DAPI', 'FITC', 'Cy5'"),
        ([Channel("DAPI", RED), Channel("FITC", GREEN), Channel("Cy5", BLUE)], "DAPI"),
        (_named("Red", "Green", "Channel 2"), "'Channel 2'"),
        (_named("Red", "Red", "Blue"), "'Red', 'Red'"),
        (_named("Alexa red", "green", "blue"), "Alexa red"),
        ([Channel("", MAGENTA), Channel("", GREEN), Channel("", BLUE)], "#FF00FF"),
        ([Channel("", RED), Channel("", GREEN), Channel("", None)], "without a name"),
        ([Channel("Red", BLUE), Channel("Green", GREEN), Channel("Blue", RED)], "contradict"),
        (_named("", "", "", ""), "alpha"),
        (_named("R", "G", "B", "IR"), "'IR'"),
        (_named("R", "G"), "there are 2"),
    ],
)
def test_refused(channels: list[Channel], quoted: str) -> None:
    with pytest.raises(NotBrightfieldError, match=quoted):
        rgb_order(channels, "a.tif")
