"""Text from outside is obeyed by no terminal, browser or spreadsheet."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fddm.core.outside.text import csv_cell, html, visible, visible_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Tumor − Köln 坏死", "Tumor − Köln 坏死"),
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b[2J\x07\x9b", r"\x1b[2J\x07\x9b"),
        ("abc\u202etxt.exe", r"abc\u202etxt.exe"),
        ("\U000e0041", r"\U000e0041"),
        (os.fsdecode(b"pr\xe4parat"), r"pr\xe4parat"),
    ],
)
def test_what_is_not_seen_but_obeyed_is_shown_as_an_escape(text: str, shown: str):
    assert visible(text) == shown


@given(st.text(st.characters()))
def test_what_is_shown_can_be_printed_and_shows_the_same_again(text: str):
    shown = visible(text)
    assert shown.encode().decode() == shown
    assert visible(shown) == shown


def test_a_line_stays_one_line():
    assert visible_line(" a\n\tb\r\nc ") == "a b c"


def test_html_shows_as_it_is_written():
    assert html("<img src='x'>&\x1b") == r"&lt;img src=&#x27;x&#x27;&gt;&amp;\x1b"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-x", "@sum", "\tx"])
def test_formulas_are_quoted_in_tables(text: str):
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["a=1", "", 0.5, -3, None])
def test_other_cells_stay(value: object):
    assert csv_cell(value) == value
