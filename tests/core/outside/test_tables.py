"""Tables as spreadsheets write them: separators, encodings, empty rows, and what is refused."""

from __future__ import annotations

import os

import pytest

from napari_fddm.core.errors import DataError
from napari_fddm.core.outside.tables import read_table

ROWS = "tile,label,case\na.png,Nekrose,Müller\nb.png,VT,B\n"
SEMICOLONS = ROWS.replace(",", ";")


@pytest.mark.parametrize(
    ("content", "encoding", "separator"),
    [
        (ROWS.encode(), "utf-8", ","),
        (SEMICOLONS.encode("utf-8-sig"), "utf-8", ";"),
        (ROWS.replace(",", "\t").encode("utf-16"), "utf-16", "\t"),
        (ROWS.replace(",", "\t").encode("utf-16-le"), "utf-16", "\t"),
        (ROWS.replace(",", "\t").encode("utf-16-be"), "utf-16", "\t"),
        (SEMICOLONS.encode("cp1252"), "cp1252", ";"),
        (("sep=;\r\n" + SEMICOLONS.replace("\n", "\r\n")).encode(), "utf-8", ";"),
        (("\n\nsep=\t\n" + ROWS.replace(",", "\t")).encode(), "utf-8", "\t"),
        ((ROWS.replace("\n", ",,\n") + ",,,,\n  , \n\n").encode(), "utf-8", ","),
        (b'"tile";"label";"case"\n"a.png";"Nekrose";"M\xfcller"\n"b.png";VT;B', "cp1252", ";"),
    ],
)
def test_a_table_reads_alike_however_it_was_saved(tmp_path, content, encoding, separator):
    (tmp_path / "m.csv").write_bytes(content)
    table = read_table(tmp_path / "m.csv")
    assert table.header == ("tile", "label", "case")
    assert [row for _, row in table] == [
        {"tile": "a.png", "label": "Nekrose", "case": "Müller"},
        {"tile": "b.png", "label": "VT", "case": "B"},
    ]
    assert (table.encoding, table.separator) == (encoding, separator)


def test_lines_are_those_of_the_file(tmp_path):
    (tmp_path / "m.csv").write_text('a,b\n\n1,"x\ny"\n,\n2,z\n')
    assert [line for line, _ in read_table(tmp_path / "m.csv")] == [4, 6]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a;b;a\n1;2;3\n", "'a' twice .*utf-8 with the separator semicolon"),
        (b"a,b\n1,2,3\n", "line 2 .* 3 cells, .* 2 columns"),
        (b"", "no header"),
        (b"a,b\n1,\x81\n", "line 2 is neither utf-8 nor cp1252"),
        (b"\xff\xfea\x00,", "line 1 is neither utf-16"),
        (b"PK\x03\x04\x14\x00", "a file of Excel or LibreOffice, not CSV"),
        (b"a,b\n1,\x00\n", "NUL"),
        (b"a,b\n" + b"x" * (1 << 21) + b",1\n", "field larger than"),
    ],
)
def test_what_is_no_table_is_refused_with_what_was_seen(tmp_path, content, words):
    (tmp_path / "m.csv").write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_table(tmp_path / "m.csv")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "m.csv")
    with pytest.raises(DataError, match="a pipe"):
        read_table(tmp_path / "m.csv")


@pytest.mark.parametrize(
    ("separator", "text", "value"), [(";", "0,5", 0.5), ("\t", "0.5", 0.5), (",", "0.5", 0.5)]
)
def test_a_decimal_comma_is_read_where_commas_separate_nothing(tmp_path, separator, text, value):
    (tmp_path / "m.csv").write_text(f"a{separator}mpp\n1{separator}{text}\n")
    table = read_table(tmp_path / "m.csv")
    assert table.number(table.rows[0][1]["mpp"]) == value


@pytest.mark.parametrize("text", ["0,5", "nan", "inf", "1_0", "half", ""])
def test_what_is_no_number_is_not_guessed(tmp_path, text):
    (tmp_path / "m.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"number|convert"):
        read_table(tmp_path / "m.csv").number(text)
