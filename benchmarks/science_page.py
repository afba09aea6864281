"""docs/science.md: tables stand between markers, which the benchmarks fill."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

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
