"""What a case must not do is found, and the next case runs all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fuzz.cases import FAILED, OTHER, REFUSED, SAID, SAME
from tests.fuzz.runner import Process

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("toys")
    made = Process(folder / "jail", folder / "seeds", "0", cpu=5.0, wait=3.0)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("toy", "verdict"),
    [("same", SAME), ("refused", REFUSED), ("said", SAID), ("no number", SAID), ("other", OTHER)],
)
def test_what_may_come_of_a_case(process: Process, toy: str, verdict: str):
    assert process.ask(toy, 0).verdict == verdict


@pytest.mark.parametrize(
    ("toy", "words"),
    [
        ("silent", "number: 1 became 2"),
        ("raises", "KeyError"),
        ("runs out", "out of memory"),
        ("swells", "more memory"),
        ("dies", "SIGSEGV"),
        ("works on", "a hang"),
        ("waits", "a hang"),
        ("leaves", "left behind: tmp/left"),
        ("goes out", "outside its folder"),
        ("prints", "a traceback was printed"),
    ],
)
def test_what_must_not_come_of_it(process: Process, toy: str, words: str):
    result = process.ask(toy, 0)
    assert result.verdict == FAILED
    assert words in result.detail
    assert result.mutation == "damaged"
    assert process.ask("same", 1).verdict == SAME
