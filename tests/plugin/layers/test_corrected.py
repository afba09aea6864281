from __future__ import annotations

import numpy as np
import pytest
from napari.layers.labels.labels import WrongSelectedLabelError

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.geometry import MapGeometry
from napari_fddm.core.maps import LabelMap
from napari_fddm.plugin.layers import CorrectedLabels
from napari_fddm.plugin.layers.colors import class_colormap
from napari_fddm.plugin.layers.common import TOOL_MARKS, automatic_layer
from napari_fddm.plugin.state.tools import Action


@pytest.fixture
def label_map():
    automatic = np.random.default_rng(0).integers(0, 8, (60, 80)).astype(np.uint8)
    return LabelMap(
        automatic.copy(), automatic.copy(), MapGeometry((60, 80), 8.0, 0.5, (16.0, 32.0))
    )


@pytest.fixture
def layer(label_map):
    return CorrectedLabels(label_map, OSTEOSARCOMA, "corrected")


def test_the_layer_paints_the_map_itself(layer, label_map):
    layer.brush_size = 5
    layer.paint((30, 40), 4)
    assert np.shares_memory(layer.data, label_map.labels)
    assert (label_map.labels[28:33, 40] == 4).all()


def test_it_lies_over_the_slide_in_micrometers(layer, label_map):
    assert layer.scale.tolist() == [4.0, 4.0]
    # Center of the first cell: level-0 px 16 + 4 - 0.5 and 32 + 4 - 0.5, times 0.5 µm.
    assert layer.translate.tolist() == [9.75, 17.75]
    assert [str(u) for u in layer.units] == ["micrometer", "micrometer"]


@pytest.mark.parametrize("value", [8, 200, 255])
def test_what_is_no_class_cannot_be_selected_or_painted(layer, value):
    with pytest.raises(WrongSelectedLabelError):
        layer.selected_label = value
    before = layer.data.copy()
    with pytest.raises(WrongSelectedLabelError):
        layer.paint((10, 10), value)
    assert np.array_equal(layer.data, before)


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


def test_history_is_announced_also_while_hidden(layer):
    heard = []
    layer.rewritten.connect(heard.append)
    layer.paint((20, 20), 3)
    layer.visible = False
    layer.undo()
    layer.redo()
    assert heard == ["undo", "redo"]


def test_keys_select_classes_on_this_layer_alone(layer):
    other = automatic_layer(
        layer.data.copy(), MapGeometry((60, 80), 8.0, 0.5), OSTEOSARCOMA, "other"
    )
    for tissue in OSTEOSARCOMA:
        layer.keymap[next(k for k in layer.keymap if str(k) == str(tissue.value))](layer)
        assert layer.selected_label == tissue.value
    assert not {str(k) for k in other.keymap} & {"1", "2", "3", "4", "5", "6", "7"}


def test_a_key_takes_up_the_polygon(layer):
    {str(k): v for k, v in layer.keymap.items()}["G"](layer)
    assert layer.mode == "polygon"


def test_napari_saves_it_as_labels(layer, tmp_path):
    assert layer._type_string == "labels"
    assert layer.as_layer_data_tuple()[2] == "labels"


def test_colors_hide_what_was_not_analyzed():
    colors = class_colormap(OSTEOSARCOMA).color_dict
    assert colors[0][3] == 0
    assert colors[None][3] == 0
    for tissue in OSTEOSARCOMA:
        assert np.allclose(colors[tissue.value][:3] * 255, tissue.display_rgb, atol=0.5)
        assert colors[tissue.value][3] > 0


def test_automatic_layers_cannot_be_painted_by_hand(label_map):
    layer = automatic_layer(label_map.automatic, label_map.geometry, OSTEOSARCOMA, "refined")
    assert not layer.editable
    with pytest.raises(ValueError, match="read-only"):
        layer.paint((10, 10), 3)


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


def test_what_napari_draws_for_tools_is_built_when_one_is_taken_up(layer, label_map):
    automatic = automatic_layer(label_map.automatic, label_map.geometry, OSTEOSARCOMA, "patch")
    for tool_free in (automatic, layer):
        assert not any(tool_free._overlays[mark].visible for mark in TOOL_MARKS)
    layer.mode = "polygon"
    assert [layer._overlays[mark].visible for mark in TOOL_MARKS] == [True, False]
    layer.mode = "paint"
    assert all(layer._overlays[mark].visible for mark in TOOL_MARKS)
