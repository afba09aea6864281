"""The user's own definitions: read as written, refused in one line, reported beside ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from napari_fddm.core.definitions import read_definitions
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.necrosis import ClassAreas, find_definition, necrosis_report

if TYPE_CHECKING:
    from pathlib import Path

OWN: dict[str, Any] = {
    "title": "necrosis and hemorrhage",
    "numerator": ["NC", "HC"],
    "denominator": ["VT", "NC", "HC"],
    "source": "our protocol",
}
TOML = """
[with-hemorrhage]
title = "necrosis and hemorrhage"
numerator = ["NC", "HC"]
denominator = ["VT", "NC", "HC"]
source = "our protocol"
cutoffs = [0.4, 0.8]
epsilon = 0.01

[acellular]
title = "necrosis and fibrosis"
numerator = ["NC", "FH"]
denominator = ["VT", "NC", "FH", "HC"]
source = "our protocol"
"""


def written(tmp_path: Path, **changes: Any) -> Path:
    table = {k: v for k, v in (OWN | changes).items() if v is not None}
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"own": table}), encoding="utf-8")
    return path


def test_toml_and_json_say_the_same(tmp_path: Path):
    toml = tmp_path / "own.toml"
    toml.write_text(TOML, encoding="utf-8")
    first, second = read_definitions(toml)
    assert (first.name, second.name) == ("with-hemorrhage", "acellular")
    assert (first.cutoffs, first.epsilon) == ((0.4, 0.8), 0.01)
    assert (second.cutoffs, second.epsilon) == ((0.5, 0.9), 0.001)
    (plain,) = read_definitions(written(tmp_path, cutoffs=[0.4, 0.8], epsilon=0.01))
    assert (plain.title, plain.numerator, plain.denominator, plain.source) == (
        first.title, first.numerator, first.denominator, first.source,
    )  # fmt: skip
    assert first.formula == "(NC + HC) / (VT + NC + HC)"


def test_they_are_reported_beside_ours_with_their_own_grades(tmp_path: Path):
    own = read_definitions(written(tmp_path, cutoffs=[0.4, 0.8]))
    areas = ClassAreas.from_counts([0, 5, 50, 20, 10, 15, 0, 0], 1.0)
    report = necrosis_report(areas, definition="own", definitions=own)
    assert [r.definition.name for r in report.results] == ["own", "fddm", "strict"]
    assert report.main.rate == 35 / 85
    assert report.main.huvos == "II"
    assert necrosis_report(areas).results == report.results[1:]
    assert find_definition("own", own) is own[0]
    with pytest.raises(ConfigError, match="'own'"):
        find_definition("own")


def test_a_file_without_definitions_is_none(tmp_path: Path):
    (tmp_path / "empty.toml").write_text("# nothing yet", encoding="utf-8")
    assert read_definitions(tmp_path / "empty.toml") == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"numerator": ["NC", "XX"]}, "numerator: XX is not one of VT, NC, FH, HC, IF"),
        ({"denominator": ["VT", "NC", "HC", "NT"]}, "denominator: NT is not one of"),
        ({"denominator": ["VT", "NC", "HC", "BG"]}, "denominator: BG is not one of"),
        ({"numerator": ["NC", "FH"]}, "FH is in the numerator, not in the denominator"),
        ({"numerator": ["NC", "NC"]}, "a class is named twice"),
        ({"numerator": []}, "numerator: "),
        ({"numerator": "NC"}, "numerator: "),
        ({"numerator": ["VT", "NC", "HC"]}, "numerator and denominator are the same"),
        ({"numerator": None}, "numerator: Field required"),
        ({"title": ""}, "title: "),
        ({"source": None}, "source: Field required"),
        ({"cutoffs": [0.9, 0.5]}, "two ascending numbers"),
        ({"cutoffs": [0.5, 1.0]}, "two ascending numbers"),
        ({"cutoffs": [0.5]}, "cutoffs: "),
        ({"epsilon": -0.1}, "epsilon: "),
        ({"epsilon": 0.2}, "two ascending numbers"),
        ({"denominater": ["VT"]}, "denominater: "),
    ],
)
def test_what_is_wrong_is_named_in_one_line(tmp_path: Path, changes: dict[str, Any], words: str):
    path = written(tmp_path, **changes)
    with pytest.raises(ConfigError) as caught:
        read_definitions(path)
    assert "\n" not in str(caught.value)
    assert str(path) in caught.value.message
    assert "'own'" in caught.value.message
    assert words in caught.value.message


@pytest.mark.parametrize("name", ["fddm", "strict", "Own", "o wn", "", "a" * 41])
def test_names_are_checked(tmp_path: Path, name: str):
    (tmp_path / "d.json").write_text(json.dumps({name: OWN}), encoding="utf-8")
    with pytest.raises(ConfigError, match="name"):
        read_definitions(tmp_path / "d.json")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("d.toml", "[own", "cannot be read as TOML"),
        ("d.json", "{", "cannot be read as JSON"),
        ("d.json", "[1]", "one table for each"),
        ("d.toml", "own = 5", "'own'"),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path: Path, name: str, text: str, words: str):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_definitions(tmp_path / name)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_binary_files_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_definitions(tmp_path / "gone.toml")
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe\0")
    with pytest.raises(ConfigError, match="cannot be read as TOML"):
        read_definitions(tmp_path / "b.toml")
