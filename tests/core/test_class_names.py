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


def test_names_that_differ_in_a_sign_an_accent_or_a_digit_are_told_apart():
    names = ClassNames.with_own(["Tumor+=VT", "Tumor-=NC", "Nécrose=NC", "坏死=NC", "存活肿瘤=VT"])
    found = [names.value_of(n, where="") for n in ("Tumor+", "Tumor-", "坏死", "存活肿瘤")]
    assert found == [2, 3, 3, 2]
    assert names.value_of("Ne\u0301crose", where="") == 3  # one letter, written as two characters
    for other in ("Tumor", "Tumor\N{MINUS SIGN}", "Tumor 2", "Necrose", "坏死2"):
        with pytest.raises(DataError, match="is no class"):
            names.value_of(other, where="here")


@pytest.mark.parametrize(
    "name", ["坏死2", "Necrosis 2", "Grade 3", "Viable-", "Necrosis?", "2.0", "²"]
)
def test_a_digit_or_sign_in_a_name_is_no_class(name):
    with pytest.raises(DataError, match="is no class"):
        ClassNames().value_of(name, where="here")


def test_what_looks_alike_is_named_and_none_of_it_is_chosen():
    names = ClassNames.with_own(["Tumor+=VT", "Tumor-=NC"])
    with pytest.raises(DataError) as caught:
        names.value_of("Tumor", where="a.geojson")
    assert "not the same as 'Tumor+' and 'Tumor-'" in caught.value.hint


def test_another_case_is_taken_where_there_is_one_such_name_and_it_is_said():
    one = ClassNames.with_own(["Tumour bed=VT"]).meaning("TUMOUR  bed", where="")
    assert (one.value, one.note) == (2, "'TUMOUR  bed' was read as 'Tumour bed'")
    two = ClassNames.with_own(["Tumor=VT", "tumor=NC"])
    assert [two.value_of(n, where="") for n in ("Tumor", "tumor")] == [2, 3]
    with pytest.raises(DataError, match="'TUMOR' could be 'Tumor' and 'tumor'"):
        two.value_of("TUMOR", where="here")
    with pytest.raises(DataError, match="two classes, VT and NC"):
        ClassNames.with_own(["Tumor=VT", "Tumor=NC"])


def test_a_class_that_qupath_ignores_is_left_out_unless_the_user_maps_it():
    names = ClassNames.with_own(["Stroma*=NT"])
    values = [names.meaning(n, where="", outline=True).value for n in ("Ignore*", "Stroma*")]
    assert values == [None, 7]
    with pytest.raises(DataError, match="is no class"):
        names.meaning("Ignore*", where="line 2")
