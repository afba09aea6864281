"""JSON objects with a checksum of themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from napari_fddm.core.errors import DataError, StoreError
from napari_fddm.core.files import write_json
from napari_fddm.core.outside.checked_json import (
    read_checked,
    verified,
    with_checksum,
    write_checked,
)

if TYPE_CHECKING:
    from pathlib import Path

VALUES = {"mpp": 0.25, "name": "坏死 ü", "list": [1, 2.5, None, True], "nested": {"b": 1, "a": []}}


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    write_checked(tmp_path / "a.json", VALUES)

    assert read_checked(tmp_path / "a.json") == VALUES


def test_every_flipped_byte_is_noticed_or_changes_no_value(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_checked(path, VALUES)
    data = path.read_bytes()
    noticed = 0
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x04]) + data[place + 1 :])
        try:
            assert read_checked(path) == VALUES
        except StoreError:
            noticed += 1
    assert noticed > 0.9 * len(data)


def test_other_indentation_and_order_are_no_damage(tmp_path: Path) -> None:
    sealed = with_checksum(VALUES, "here")
    text = json.dumps(dict(reversed(sealed.items())), indent=7)
    (tmp_path / "a.json").write_text(text)

    assert read_checked(tmp_path / "a.json") == VALUES


def test_tuples_and_numbers_as_keys_are_what_json_makes_of_them(tmp_path: Path) -> None:
    write_checked(tmp_path / "a.json", {"shape": (2, 3), "by_value": {10: "x", 9: "y"}})

    assert read_checked(tmp_path / "a.json")["by_value"] == {"10": "x", "9": "y"}


def test_a_file_of_an_earlier_version_has_none(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, VALUES)

    assert read_checked(path, required=False) == VALUES
    with pytest.raises(DataError, match="checksum is missing"):
        read_checked(path, error=DataError)


def test_a_wrong_checksum_is_refused_even_where_none_is_required() -> None:
    wrong = with_checksum(VALUES, "here") | {"mpp": 0.5}

    with pytest.raises(StoreError, match="differs from its checksum"):
        verified(wrong, "here", required=False)


def test_an_older_checksum_is_replaced() -> None:
    changed = with_checksum(with_checksum(VALUES, "here") | {"mpp": 0.5}, "here")

    assert verified(changed, "here")["mpp"] == 0.5


def test_a_value_without_a_json_form_is_refused() -> None:
    with pytest.raises(StoreError, match="here"):
        with_checksum({"a": object()}, "here")
