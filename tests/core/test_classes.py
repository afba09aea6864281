from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core.classes import NOT_ANALYZED, OSTEOSARCOMA, ClassTable, Role, TissueClass
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
    assert OSTEOSARCOMA.values_of(Role.OUTSIDE) == (1, 7)
    assert OSTEOSARCOMA.values_of(Role.VIABLE) == (2,)
    assert OSTEOSARCOMA.values_of(Role.TUMOR_BED, Role.VIABLE) == (2, 3, 4, 5, 6)
    every = {v for role in Role for v in OSTEOSARCOMA.values_of(role)}
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
