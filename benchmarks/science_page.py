"""Write tables into docs/science.md, between the markers of their section."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PAGE = Path(__file__).parents[1] / "docs" / "science.md"


def write_section(name: str, lines: Iterable[str], *, write: bool, page: Path = PAGE) -> list[str]:
    """Return the lines of a section; put them into the page as well if asked to."""
    made = list(lines)
    if write:
        text = page.read_text(encoding="utf-8")
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
        before, after = text.split(begin)[0], text.split(end)[1]
        page.write_text(before + begin + "\n".join(made) + "\n" + end + after, encoding="utf-8")
    return made


def print_tables(description: str | None, write_page: Callable[..., Iterable[str]]) -> None:
    """Run as a program: print the tables of a file of results, and put them into the page."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("results", type=Path)
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    print("\n".join(write_page(chosen.results, write=chosen.write)))
