"""Every citation leads somewhere: a page, a heading on it, a file, a module that is there."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

import napari_fddm

ROOT = Path(__file__).parents[1]
PACKAGE = Path(napari_fddm.__file__).parent
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.glob("*.md")), *(ROOT / f"{n}.md" for n in ("README", "CONTRIBUTING"))]
CHANGES = ROOT / "CHANGELOG.md"
FOLDERS = (PACKAGE, *(ROOT / name for name in ("tests", "benchmarks", "scripts", "examples")))
SOURCES = sorted(path for folder in FOLDERS for path in folder.rglob("*.py"))
OTHERS = [ROOT / n for n in ("NOTICE", "Makefile", "mkdocs.yml", "pyproject.toml")]

UNPUBLISHED = re.compile(
    r"\b(?:" + "|".join(("ALGORITHM", "DESIGN", "LAYOUT", "REQUIREMENTS")) + r")\b"
    r"|\bE-[A-Z]{3,5}-\d"
)
"""Names and numbers of working notes that are not in the repository."""
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PAGE = re.compile(r"docs/([\w-]+\.md)(?:#([\w-]+))?")
ROOMS = "|".join(sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py")))
MODULE = re.compile(rf"(?:napari_fddm\.)?((?:{ROOMS})(?:\.\w+)+)(?<!\.csv)(?<!\.json)(?<!\.jsonl)")
FILE = re.compile(r"[\w-][\w./-]*\.(?:py|sh|yaml)\b")


@cache
def anchors(page: Path) -> tuple[str, ...]:
    """Return the anchors of a page's headings, as the site and GitHub make them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ +(.*?) *$", text, re.MULTILINE)
    return tuple(re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles)


def leads_nowhere(page: Path, anchor: str | None) -> str:
    """Return what is wrong with a page and a heading on it; empty if nothing is."""
    if not page.exists():
        return f"there is no {page.relative_to(ROOT) if page.is_relative_to(ROOT) else page}"
    if anchor and anchor not in anchors(page):
        return f"{page.name} has no heading #{anchor}"
    return ""


def broken_links(path: Path, text: str) -> list[str]:
    """Return what is wrong with a page's links to other pages, pictures and headings."""
    found = []
    for target in LINK.findall(CODE.sub("", FENCE.sub("", text))):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        found.append(leads_nowhere((path.parent / name).resolve() if name else path, anchor))
    return [problem for problem in found if problem]


def module_of(dotted: str) -> tuple[Path, list[str]] | None:
    """Return the file that a dotted name begins with, and the names in it that follow."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        place = PACKAGE.joinpath(*parts[:count])
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                return file, parts[count:]
    return None


def missing_names(text: str) -> list[str]:
    """Return the modules of ours, and what is said to be in them, that are not there."""
    found = []
    for code in CODE.findall(FENCE.sub("", text)):
        if not (match := MODULE.fullmatch(code.removesuffix("()"))):
            continue
        place = module_of(match[1])
        source = "" if place is None else place[0].read_text(encoding="utf-8")
        names = [] if place is None else place[1]
        if place is None or not all(re.search(rf"\b{name}\b", source) for name in names):
            found.append(f"there is no {match[1]}")
    return found


def missing_files(text: str) -> list[str]:
    """Return the programs that a page names and that are neither ours nor the package's."""
    named = {name for code in CODE.findall(FENCE.sub("", text)) for name in FILE.findall(code)}
    return [
        f"there is no {name}"
        for name in sorted(named)
        if not any((base / name).is_file() for base in (ROOT, PACKAGE))
    ]


def problems(path: Path, text: str) -> list[str]:
    """Return everything that a text cites and that is not there."""
    found = [f"nobody can read {name}" for name in UNPUBLISHED.findall(text)]
    found += [leads_nowhere(DOCS / page, anchor) for page, anchor in PAGE.findall(text)]
    if path.suffix == ".md":
        found += broken_links(path, text)
    if path != CHANGES:  # it tells of what was
        found += missing_names(text)
    if path in PAGES:
        found += missing_files(text)
    return [problem for problem in found if problem]


@pytest.mark.parametrize(
    "path", [*PAGES, CHANGES], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_what_a_page_cites_is_there(path: Path):
    assert problems(path, path.read_text(encoding="utf-8")) == []


def test_what_the_code_cites_is_there():
    assert len(SOURCES) > 400
    cited = {
        str(path): found
        for path in (*SOURCES, *OTHERS)
        if path != Path(__file__)  # the examples below
        and (found := problems(path, path.read_text(encoding="utf-8")))
    }
    assert cited == {}


def test_a_heading_that_is_linked_is_there_once():
    for page in PAGES:
        titles = anchors(page)
        linked = {
            anchor
            for path in (*PAGES, *SOURCES)
            for name, anchor in PAGE.findall(path.read_text(encoding="utf-8"))
            if name == page.name
        }
        assert [a for a in linked if titles.count(a) > 1] == [], page.name


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("see docs/no-such-page.md", "there is no docs/no-such-page.md"),
        ("see ``docs/algorithm.md#no-such-heading``", "algorithm.md has no heading #no-such-head"),
        ("as ALGO" + "RITHM B.4 derives", "nobody can read ALGO" + "RITHM"),
        ("as E-CODE" + "-3 says", "nobody can read E-CODE" + "-3"),
        ("[a page](nowhere.md)", "there is no docs/nowhere.md"),
        ("[a heading](algorithm.md#nowhere)", "algorithm.md has no heading #nowhere"),
        ("[here](#nowhere)", "architecture.md has no heading #nowhere"),
        ("![a picture](images/nothing.png)", "there is no docs/images/nothing.png"),
        ("`diffusion.nothing`", "there is no diffusion.nothing"),
        ("`diffusion.bridge.Nobody`", "there is no diffusion.bridge.Nobody"),
        ("`diffusion/nothing.py`", "there is no diffusion/nothing.py"),
        ("`python scripts/nothing.py`", "there is no scripts/nothing.py"),
    ],
)
def test_a_citation_that_leads_nowhere_is_found(text: str, problem: str):
    (found,) = problems(DOCS / "architecture.md", text)
    assert found.startswith(problem)


@pytest.mark.parametrize(
    "text",
    [
        "see ``docs/algorithm.md#bridge-step``",
        "[the step](algorithm.md#bridge-step), [here](#the-store), [the web](https://arxiv.org)",
        "`diffusion.bridge.BrownianBridgeScheduler`, `napari_fddm.core.classes`",
        "`diffusion/bridge.py`, `scripts/check_wheel.py`",
        "```python\n[not](a-link.md)\n```",
    ],
)
def test_a_citation_that_leads_somewhere_is_not(text: str):
    assert problems(DOCS / "architecture.md", text) == []
