"""Names that people give the classes: known ones and the user's own, and no guesses."""

from __future__ import annotations

import pytest

from napari_fddm.core.class_names import ALIASES, ClassNames
from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import DataError


@pytest.mark.parametrize("tissue", OSTEOSARCOMA, ids=lambda tissue: tissue.short)
def test_a_class_is_found_by_abbreviation_value_and_name(tissue):
    for name in (tissue.short, tissue.short.lower(), str(tissue.value), tissue.name.upper()):
        assert ClassNames().value_of(name, where="here") == tissue.value


@pytest.mark.parametrize("name", ALIASES)
def test_aliases_count_in_any_spelling(name):
    value = OSTEOSARCOMA[ALIASES[name]].value
    for spelled in (name, name.title(), f" {name.replace(' ', '-')} ", name.replace(" ", "_")):
        assert ClassNames().value_of(spelled, where="here") == value


def test_an_unknown_name_says_where_and_what_to_do():
    with pytest.raises(DataError, match="line 3: the label 'osteoid' is no class") as caught:
        ClassNames().value_of("osteoid", where="line 3")
    assert '--label "osteoid=CLASS"' in caught.value.hint


def test_p39_the_mixed_label_goes_where_the_user_says():
    label = "viable: non-viable"
    values = {
        policy: ClassNames.with_own([], policy).value_of(label, where="here")
        for policy in ("viable", "nonviable", "exclude")
    }
    assert values == {"viable": 2, "nonviable": 3, "exclude": None}
    assert ClassNames().value_of(label, where="here") is None
    with pytest.raises(DataError, match="--mixed"):
        ClassNames.with_own([], "whatever")


@pytest.mark.parametrize(
    ("name", "value"),
    [("Non-Tumor", 7), ("Non-Viable-Tumor", 3), ("Viable", 2), ("vt", 2), ("4", 4),
     ("Hemorrhage / cystic change", 5), ("non_tumor", 7)],
)  # fmt: skip
def test_names_of_the_classes_are_known(name, value):
    assert ClassNames().value_of(name, where="here") == value


def test_the_users_own_names_come_first_and_may_leave_out():
    names = ClassNames.with_own(["Tumor=VT", "Viable=NT", "Fold=-"])
    assert [names.value_of(n, where="") for n in ("tumor", "viable", "FOLD")] == [2, 7, None]
    for pair in ("x", "=VT", "x=XX"):
        with pytest.raises(DataError, match="--label"):
            ClassNames.with_own([pair])
