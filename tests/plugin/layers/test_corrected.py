from __future__ import annotations

import numpy as np
import pytest
from napari.layers.labels.labels import WrongSelectedLabelError

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.geometry import MapGeometry
from napari_fddm.plugin.layers.common import TOOL_MARKS, automatic_layer
from napari_fddm.plugin.layers.napari_colormap import class_colormap


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


def test_what_napari_draws_for_tools_is_built_when_one_is_taken_up(layer, label_map):
    automatic = automatic_layer(label_map.automatic, label_map.geometry, OSTEOSARCOMA, "patch")
    for tool_free in (automatic, layer):
        assert not any(tool_free._overlays[mark].visible for mark in TOOL_MARKS)
    layer.mode = "polygon"
    assert [layer._overlays[mark].visible for mark in TOOL_MARKS] == [True, False]
    layer.mode = "paint"
    assert all(layer._overlays[mark].visible for mark in TOOL_MARKS)
