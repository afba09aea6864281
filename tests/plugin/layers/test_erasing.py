"""Erasing restores the model's labels, with every tool; protected classes stay."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.maps import LabelMap
from napari_fddm.plugin.layers import CorrectedLabels
from napari_fddm.plugin.state.tools import Action


@pytest.mark.parametrize("brush", [1, 2, 7, 40])
@pytest.mark.parametrize("center", [(30, 40), (0, 0), (59, 79), (-3, 20)])
def test_the_eraser_restores_the_automatic_labels_where_a_brush_would_paint(
    label_map, layer, brush, center
):
    layer.brush_size = brush
    layer.data[...] = 2
    painted = CorrectedLabels(
        LabelMap(np.zeros_like(layer.data), label_map.automatic.copy(), label_map.geometry),
        OSTEOSARCOMA,
        "reference",
    )
    painted.brush_size = brush
    painted.paint(center, 1)
    touched = painted.data == 1
    layer.paint(center, 0)
    assert np.array_equal(layer.data[touched], label_map.automatic[touched])
    assert (layer.data[~touched] == 2).all()


def test_erasing_can_be_undone_and_redone(layer, label_map):
    layer.brush_size = 9
    layer.paint((20, 20), 3)
    painted = layer.data.copy()
    layer.paint((20, 20), 0)
    assert np.array_equal(layer.data, label_map.automatic)
    layer.undo()
    assert np.array_equal(layer.data, painted)
    layer.redo()
    assert np.array_equal(layer.data, label_map.automatic)


def test_erasing_with_polygon_and_bucket_restores_too(layer, label_map):
    layer.data[...] = 5
    layer.paint_polygon([(-5, -5), (-5, 30), (25, 30), (25, -5)], 0)
    assert np.array_equal(layer.data[2:24, 2:28], label_map.automatic[2:24, 2:28])
    assert (layer.data[30:, 40:] == 5).all()
    layer.fill((45, 60), 0)
    assert np.array_equal(layer.data[30:, 40:], label_map.automatic[30:, 40:])
    layer.fill((1000, 1000), 0)


def use(tool, layer, label):
    if tool == "paint":
        layer.brush_size = 11
        layer.paint((30, 40), label)
    elif tool == "fill":
        layer.fill((30, 40), label)
    else:
        layer.paint_polygon(np.array([(20, 30), (20, 50), (40, 40)], float), label)


@pytest.mark.parametrize("tool", ["paint", "fill", "polygon"])
def test_excluded_cells_become_not_analyzed_until_the_eraser_brings_them_back(
    layer, label_map, tool
):
    under = int(layer.data[30, 40])
    layer.selected_label = under  # the fill tool of napari alone would do nothing then
    layer.action = Action.EXCLUDE
    use(tool, layer, under)
    excluded = label_map.labels == 0
    assert excluded[30, 40]
    assert np.array_equal(label_map.labels[~excluded], label_map.automatic[~excluded])
    layer.undo()
    assert np.array_equal(label_map.labels, label_map.automatic)
    layer.redo()
    assert np.array_equal(label_map.labels == 0, excluded)
    layer.brush_size = 200
    layer.paint((30, 40), 0)
    assert np.array_equal(label_map.labels, label_map.automatic)


@pytest.mark.parametrize("tool", ["paint", "fill", "polygon"])
@pytest.mark.parametrize("label", [0, 5])
def test_locked_classes_stay_under_every_tool(layer, label_map, tool, label):
    layer.brush_size = 200
    layer.paint((30, 40), 2)
    half = label_map.labels[:, :40]
    half[...] = 3
    layer.refresh()
    layer.protected = frozenset({3})
    use(tool, layer, label)
    assert (label_map.labels[:, :40] == 3).all()
    assert (label_map.labels[:, 40:] != 2).any()
