from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core.classes import (
    NOT_ANALYZED,
    OSTEOSARCOMA,
    ClassTable,
    Role,
    TissueClass,
    labels_from_rgb,
)
from napari_fddm.core.errors import ConfigError

BG = OSTEOSARCOMA["BG"]


def by_color(rgb: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Slow reference: the label value of each pixel whose color is exactly a class's, else 0."""
    labels = np.zeros(rgb.shape[:-1], np.uint8)
    for value in range(1, len(table)):
        labels[(rgb == table[value]).all(axis=-1)] = value
    return labels


def test_values_are_one_to_seven_in_the_order_of_fddm():
    assert OSTEOSARCOMA.shorts == ("BG", "VT", "NC", "FH", "HC", "IF", "NT")
    assert OSTEOSARCOMA.values == (1, 2, 3, 4, 5, 6, 7)
    assert [c.channel for c in OSTEOSARCOMA] == [0, 1, 2, 3, 4, 5, 6]
    assert NOT_ANALYZED not in OSTEOSARCOMA.values
    assert len(OSTEOSARCOMA) == 7


def test_roles_split_the_classes():
    values = {role: [c.value for c in OSTEOSARCOMA.with_role(role)] for role in Role}
    assert values[Role.OUTSIDE] == [1, 7]
    assert values[Role.VIABLE] == [2]
    assert [c.value for c in OSTEOSARCOMA.tumor_bed] == [2, 3, 4, 5, 6]
    every = {v for of_role in values.values() for v in of_role}
    assert every == set(OSTEOSARCOMA.values)


def test_paper_colors_are_those_of_the_annotation_images():
    expected = {
        "BG": (255, 255, 255),
        "VT": (0, 128, 0),
        "NC": (255, 143, 204),
        "FH": (255, 0, 0),
        "HC": (0, 0, 0),
        "IF": (165, 42, 42),
        "NT": (0, 0, 255),
    }
    assert {c.short: c.paper_rgb for c in OSTEOSARCOMA} == expected


@pytest.mark.parametrize("paper", [True, False])
@settings(deadline=None)
@given(values=st.lists(st.integers(1, 7), min_size=1, max_size=50))
def test_p40_labels_survive_their_colors(paper: bool, values: list[int]):
    table = OSTEOSARCOMA.rgb_table(paper=paper)
    labels = np.array(values, np.uint8)
    assert np.array_equal(by_color(table[labels], table), labels)
    image = table[labels][None]
    for tolerance in (0, 1, 20):
        found = labels_from_rgb(image, paper=paper, tolerance=tolerance)
        assert np.array_equal(found.labels[0], labels)
        assert found.unknown == {}


def test_p40_a_blend_of_fibrosis_and_hemorrhage_is_inflammation_only_with_a_tolerance():
    """The published import matches within 50: phantom rims (docs/algorithm.md#colors)."""
    blend = np.array([[(165, 0, 0)]], np.uint8)
    assert labels_from_rgb(blend, tolerance=50).labels[0, 0] == OSTEOSARCOMA["IF"].value
    exact = labels_from_rgb(blend)
    assert exact.labels[0, 0] == NOT_ANALYZED
    assert exact.unknown == {(165, 0, 0): 1}


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=40))
def test_p40_unknown_colors_are_named_and_never_background(colors: list[tuple[int, int, int]]):
    # half of the pixels have a class's color, the others whatever comes
    image = np.array([*colors, *OSTEOSARCOMA.rgb_table(paper=True)[1:]], np.uint8)[None]
    found = labels_from_rgb(image)
    table = OSTEOSARCOMA.rgb_table(paper=True)
    assert np.array_equal(found.labels, by_color(image, table))
    strange = [c for c in colors if c not in {tuple(row) for row in table.tolist()}]
    assert found.unknown == {c: strange.count(c) for c in strange}
    assert int((found.labels == NOT_ANALYZED).sum()) == len(strange)


def test_p40_only_rgb_is_read():
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3))):
        with pytest.raises(ConfigError, match="expected RGB"):
            labels_from_rgb(wrong)


@pytest.mark.parametrize("paper", [True, False])
def test_no_two_classes_share_a_color(paper: bool):
    table = OSTEOSARCOMA.rgb_table(paper=paper)
    assert table.shape == (8, 3)
    assert table.dtype == np.uint8
    assert len(np.unique(table[1:], axis=0)) == 7
    assert tuple(table[NOT_ANALYZED]) == (255, 255, 255)


def test_no_screen_color_vanishes_on_the_dark_canvas():
    # Hemorrhage is black on paper: invisible in napari, where the canvas is black.
    assert min(max(c.display_rgb) for c in OSTEOSARCOMA) > 80


def test_a_class_is_found_by_its_abbreviation():
    assert OSTEOSARCOMA["NC"].name == "necrosis"
    with pytest.raises(ConfigError, match="'XX'") as caught:
        OSTEOSARCOMA["XX"]
    assert "BG, VT" in caught.value.hint


def test_other_tables_are_allowed_and_checked():
    two = ClassTable((BG, replace(OSTEOSARCOMA["VT"], short="T")))
    assert two.shorts == ("BG", "T")
    with pytest.raises(ConfigError, match="1…2"):
        ClassTable((BG, OSTEOSARCOMA["NC"]))
    with pytest.raises(ConfigError, match="1…1"):
        ClassTable((replace(BG, value=0),))
    with pytest.raises(ConfigError, match="same abbreviation"):
        ClassTable((BG, replace(OSTEOSARCOMA["VT"], short="BG")))


def test_classes_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        BG.value = 3  # type: ignore[misc]
    assert isinstance(BG, TissueClass)
