"""Case ids: which ones look like one patient, and which do not."""

from __future__ import annotations

import pytest

from napari_fddm.core.errors import ConfigError, DataError
from napari_fddm.core.naming.case_ids import refuse_twice_spelled, twice_spelled


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Case-3", "case-3"),
        ("Case-3", "Case 3"),
        ("Case-3", "Case_3"),
        ("Case-3", "Case\N{EN DASH}3"),
        ("Case-3", "Case\N{MINUS SIGN}3"),
        ("Case-3", "Case3"),
        ("7", "007"),
        ("7", "7.0"),
        ("P7-A", "P007-A"),
        ("Müller", "Mu\u0308ller"),
        ("Case-3", "Case-3\N{ZERO WIDTH SPACE}"),
        ("Case-3", "Case\N{NO-BREAK SPACE}3"),
        ("Ｃase-3", "Case-3"),
        ("0" * 5000, "0"),
    ],
)
def test_spellings_of_one_patient(one, other):
    assert twice_spelled([one, "another", other, one]) == [(one, other)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Case-3", "Case-30"),
        ("1-23", "12-3"),
        ("A+", "A-"),
        ("Müller", "Muller"),
        ("7.5", "75"),
        ("7.0", "70"),
        ("患者1", "患者2"),
        ("P9", "Q9"),
    ],
)
def test_different_patients(one, other):
    assert twice_spelled([one, other]) == []


def test_both_spellings_and_their_places_are_said():
    rows = [("Case-3", "line 2"), ("case-3", "line 3"), ("Case-3", "line 4"), ("P9", "line 5")]
    with pytest.raises(
        DataError, match=r"m\.csv: .*'Case-3' \(line 2\) and 'case-3' \(line 3\)"
    ) as caught:
        refuse_twice_spelled(rows, "m.csv")
    assert "--distinct-cases" in caught.value.hint
    many = [(f"{n}{end}", "x") for n in range(1, 6) for end in ("", ".0")]
    with pytest.raises(ConfigError, match="and 2 more"):
        refuse_twice_spelled(many, "m.csv", error=ConfigError)
