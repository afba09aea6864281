"""JSON and TOML that others wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_fddm.core.errors import ConfigError, StoreError
from napari_fddm.core.outside.json_files import (
    field,
    parse_json,
    read_json,
    read_json_value,
    read_toml,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read as JSON"),
        ("NaN", "NaN is no JSON number"),
        ('{"a": -Infinity}', "-Infinity is no JSON number"),
        ("[" * 100_000, "nested too deeply"),
        (b"\xff\x00\xff", "not UTF-8"),
        ("9" * 10_000, "cannot be read as JSON"),
    ],
)
def test_what_is_no_json_is_refused_in_words(text: str | bytes, words: str):
    with pytest.raises(StoreError, match=words):
        parse_json(text, "a.json")


def test_a_byte_order_mark_is_no_fault(tmp_path: Path):
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "a.json") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "kind"), [("[]", "a list"), ("null", "null"), ("1", "a number"), ('"x"', "a text")]
)
def test_an_object_is_asked_for(tmp_path: Path, text: str, kind: str):
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    assert read_json_value(tmp_path / "a.json") is not ...
    with pytest.raises(StoreError, match=f"expected a JSON object, not {kind}"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("value", "kind", "right"), [(1, int, 1), (1, float, 1.0), ("x", str, "x"), (True, bool, True)]
)
def test_fields_of_the_right_type_are_returned(value: object, kind: type, right: object):
    found = field({"a": value}, "a", kind, "a.json")
    assert (found, type(found)) == (right, kind)


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        (True, int, "is true or false"),
        (1, bool, "is a number"),
        (1.5, int, "is a number"),
        (None, str, "is null"),
        ({}, list, "is an object"),
    ],
)
def test_fields_of_another_type_are_named(value: object, kind: type, words: str):
    with pytest.raises(StoreError, match=f"a.json is damaged: 'a' {words}"):
        field({"a": value}, "a", kind, "a.json")


def test_a_missing_field_is_named():
    with pytest.raises(StoreError, match="'b' is missing"):
        field({"a": 1}, "b", int, "a.json")


@pytest.mark.parametrize("text", ["[own", "a = " + "[" * 5000, "a = 1\na = 2"])
def test_what_is_no_toml_is_refused(tmp_path: Path, text: str):
    (tmp_path / "a.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be read as TOML"):
        read_toml(tmp_path / "a.toml", error=ConfigError)


def test_toml_is_read(tmp_path: Path):
    (tmp_path / "a.toml").write_text("[own]\na = 1\n", encoding="utf-8")
    assert read_toml(tmp_path / "a.toml", error=ConfigError) == {"own": {"a": 1}}
