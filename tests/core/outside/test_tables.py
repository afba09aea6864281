"""Tables as people's spreadsheets write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_fddm.core.errors import DataError
from napari_fddm.core.outside.tables import read_table

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [{"slide": "präparat.tif", "case": "1"}, {"slide": "b, c.tif", "case": "2"}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("first", ["", "sep={}\r\n"])
def test_separators_and_encodings_are_seen(
    tmp_path: Path, encoding: str, separator: str, first: str
):
    lines = [("slide", "case"), ("präparat.tif", "1"), ('"b, c.tif"', "2")]
    text = first.format(separator) + "".join(f"{separator.join(row)}\r\n" for row in lines)
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    table = read_table(tmp_path / "a.csv")
    assert [row for _, row in table] == ROWS
    assert (table.separator, table.header) == (separator, ("slide", "case"))
    assert table.encoding == encoding.removesuffix("-sig")


def test_empty_rows_and_separators_at_the_end_are_passed_over(tmp_path: Path):
    (tmp_path / "a.csv").write_text("a;b;;\n1;2;;\n\n;;;\n3;4\n;;;\n", encoding="utf-8")
    table = read_table(tmp_path / "a.csv")
    assert table.rows == ((2, {"a": "1", "b": "2"}), (5, {"a": "3", "b": "4"}))


def test_lines_are_counted_in_the_file(tmp_path: Path):
    (tmp_path / "a.csv").write_text('a,b\n"1\n2",3\n4,5\n', encoding="utf-8")
    assert [line for line, _ in read_table(tmp_path / "a.csv")] == [3, 4]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"holds no header .*utf-8.*comma"),
        ("a;a\n1;2\n", "column 'a' twice .*semicolon"),
        ("a,b\n1,2,3\n", "line 2 of a.csv has 3 cells, but there are 2 columns"),
        ("a,b\n" + "x" * (1 << 21) + ",1\n", "cannot be read as a manifest"),
    ],
)
def test_faults_say_what_was_seen(tmp_path: Path, text: str, words: str):
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=words):
        read_table(tmp_path / "a.csv", "a manifest")
