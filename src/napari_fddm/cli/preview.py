"""Draws a picture of a slide and its label maps side by side, with a legend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from napari_fddm.core.classes import ClassTable

PANEL_PX = 520
MARGIN_PX = 14
TITLE_PX = 30
LEGEND_PX = 40
OPACITY = 0.6
INK = (30, 30, 30)


def draw_preview(
    overview: npt.NDArray[np.uint8],
    maps: Mapping[str, npt.NDArray[np.uint8]],
    table: ClassTable,
) -> Image.Image:
    """Draw a row of panels.

    Parameters
    ----------
    overview : array of uint8, shape (H, W, 3)
        The slide.
    maps : mapping of str to array of uint8, shape (h, w)
        Title → label map of the same slide, on any grid.
    table : ClassTable
        Colors and names.
    """
    rows, cols = overview.shape[:2]
    panel_h = max(1, round(PANEL_PX * rows / cols))
    slide = Image.fromarray(overview).resize((PANEL_PX, panel_h), Image.Resampling.LANCZOS)
    panels = {"slide": slide} | {
        title: _blend(slide, labels, table) for title, labels in maps.items()
    }
    step = PANEL_PX + MARGIN_PX
    size = (
        MARGIN_PX + step * len(panels),
        MARGIN_PX + TITLE_PX + panel_h + MARGIN_PX + LEGEND_PX,
    )
    sheet = Image.new("RGB", size, (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=18)
    for index, (title, panel) in enumerate(panels.items()):
        x = MARGIN_PX + index * step
        draw.text((x, MARGIN_PX - 4), title, INK, font)
        sheet.paste(panel, (x, MARGIN_PX + TITLE_PX))
    _draw_legend(draw, table, MARGIN_PX + TITLE_PX + panel_h + MARGIN_PX, size[0], font)
    return sheet


def _blend(slide: Image.Image, labels: npt.NDArray[np.uint8], table: ClassTable) -> Image.Image:
    index = Image.fromarray(labels).resize(slide.size, Image.Resampling.NEAREST)
    values = np.asarray(index)
    color = table.rgb_table()[values].astype(np.float32)
    alpha = np.where(values > 1, OPACITY, 0.0)[..., None]
    mixed = np.asarray(slide, np.float32) * (1 - alpha) + color * alpha
    return Image.fromarray(mixed.round().astype(np.uint8))


def _draw_legend(
    draw: ImageDraw.ImageDraw,
    table: ClassTable,
    y: int,
    width: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    step = (width - 2 * MARGIN_PX) // len(table)
    for index, tissue in enumerate(table):
        x = MARGIN_PX + index * step
        draw.rectangle((x, y, x + 22, y + 22), tissue.display_rgb, INK)
        draw.text((x + 30, y), tissue.name, INK, font)
