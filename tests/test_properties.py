"""Each numbered property of the mathematics is a test that bears its number.

``grep -rn p07_ tests`` finds the tests of property P7: their names begin with ``test_p07_``.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "algorithm.md"
PROPERTIES = {
    1: "the bridge is pinned exactly at both ends",
    2: "its variance is symmetric, at most s / 2 and linear in s",
    3: "its transitions compose (Chapman–Kolmogorov)",
    4: "forward and backward factors agree (Bayes)",
    5: "the posterior's factors have closed forms",
    6: "three forms of the posterior mean agree",
    7: "every eta keeps the marginal; the published formula does not",
    8: "all prediction types find the same original",
    9: "an oracle finds the original on any schedule",
    10: "the published eta = 0 telescopes",
    11: "the noise depends on seed and place alone",
    12: "an identity refiner returns the source",
    13: "numbers of the published schedule",
    14: "the softmax head stays on the simplex",
    15: "identities of the losses",
    16: "Monte-Carlo mean and variance of the marginal",
    17: "gradients reach network and condition, finite at both ends",
    18: "48 adapters, 2 359 296 + 528 391 trainable parameters",
    19: "a fresh adapter changes nothing",
    20: "merged equals unmerged",
    21: "a step changes adapters and heads only",
    22: "the loss does not depend on the scale of the class weights",
    23: "constants of the preprocessing",
    24: "merging keeps a constant",
    25: "merging keeps places",
    26: "every cell is covered",
    27: "a viewport equals the crop of the whole slide",
    28: "scale and translation survive OME-Zarr",
    29: "metrics follow a permutation of the classes; a perfect prediction is perfect",
    30: "the rate lies in [0, 1] and ignores what is outside the bed",
    31: "a rate that follows edits equals a recount",
    32: "the paper's metric preset gives the paper's way of counting",
    33: "the edges of the Huvos grades",
    34: "18 first-order features of analytic tiles",
    35: "the leaves of a class tree add up to 1",
    36: "a level's weight settles at clip(0.2 / loss, 0.2, 3)",
    37: "a batch without tumor has a finite loss",
    38: "the gate's weights add up to 1",
    39: "the mixed label has three policies",
    40: "colors and labels map onto each other; unknown colors are flagged",
}
"""Those of docs/algorithm.md that must have a test; add a line for each one that comes."""


def properties_with_tests() -> dict[int, list[str]]:
    """Return the names of the tests of each property."""
    found: dict[int, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node, "name", "")
            if isinstance(node, ast.FunctionDef) and (match := re.match(r"test_p(\d\d)_", name)):
                found.setdefault(int(match[1]), []).append(f"{path.relative_to(TESTS)}::{name}")
    return found


TESTED = properties_with_tests()


@pytest.mark.parametrize("number", PROPERTIES, ids=lambda n: f"P{n}")
def test_every_property_has_a_test(number: int):
    assert TESTED.get(number), f"no test_p{number:02d}_… for: {PROPERTIES[number]}"


def test_no_test_has_a_number_that_is_no_property():
    assert set(TESTED) <= set(range(1, 41))


def table() -> str:
    """Return the properties and the files that test them, as the page lists them."""
    lines = ["| | property | tests |", "|---|---|---|"]
    for number, statement in PROPERTIES.items():
        files = dict.fromkeys(name.split("::")[0] for name in TESTED.get(number, ()))
        links = ", ".join(f"`tests/{file}`" for file in files)
        lines.append(f"| P{number} | {statement} | {links} |")
    return "\n".join(lines)


def test_the_page_lists_every_property_with_its_tests():
    text = PAGE.read_text(encoding="utf-8")
    begin, end = "<!-- properties: begin -->\n", "\n<!-- properties: end -->"
    shown = text.partition(begin)[2].partition(end)[0]
    assert shown == table(), f"{PAGE.name} should have:\n{table()}"
