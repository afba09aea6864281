"""Text from outside is obeyed by no terminal, browser or spreadsheet, and stays readable."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fddm.core.outside.text import (
    csv_cell,
    html,
    json_text,
    markdown,
    unquoted_cell,
    visible,
    visible_line,
)

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))
OBEYED = "\x1b\x9b\x7f\x00\u202e\u2028\ufeff\udce4\ud800\U000e0041"


@given(ANY_TEXT)
def test_nothing_that_is_obeyed_is_left(text: str):
    shown = visible(text)
    shown.encode("utf-8")
    assert not any(c in shown for c in OBEYED)
    assert visible(shown) == shown


def test_ordinary_text_stays():
    assert visible("Tumor−/+ 骨肉腫 é µm²\n\tx") == "Tumor−/+ 骨肉腫 é µm²\n\tx"
    assert visible_line("a\r\n\tb \x1b") == "a b \\x1b"


def test_bytes_that_are_not_utf8_are_shown_as_they_are():
    assert visible(b"f\xe4.tif".decode("utf-8", "surrogateescape")) == r"f\xe4.tif"


@given(st.recursive(ANY_TEXT | st.integers() | st.none(), st.lists))
def test_json_can_be_written_anywhere_and_means_the_same(value: object):
    text = json_text(value)
    text.encode("utf-8")
    assert json.loads(text) == value
    assert not any(c in text for c in OBEYED)


def test_html_is_text():
    assert html("<b>&\x1b</b>") == "&lt;b&gt;&amp;\\x1b&lt;/b&gt;"


def test_markdown_has_no_html_links_or_pictures_of_names():
    text = "| <img src=x> | ![a](http://b) | `id` |"
    assert markdown(text) == r"| \<img src=x> | !\[a](http://b) | `id` |"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@a", "\tx"])
def test_what_a_spreadsheet_takes_for_a_formula_is_quoted(text: str):
    assert csv_cell(text) == f"'{text}"
    assert unquoted_cell(f"'{text}") == text


@pytest.mark.parametrize("value", [-1.5, 3, None, "Case-3"])
def test_numbers_and_names_stay_as_they_are(value: object):
    assert csv_cell(value) == value
    assert unquoted_cell("'quoted'") == "'quoted'"
