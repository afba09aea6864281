"""Some hundred damaged files of every kind: each is refused, read the same, or it is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fuzz.cases import FAILED
from tests.fuzz.kinds.every import KINDS
from tests.fuzz.runner import Process

if TYPE_CHECKING:
    from collections.abc import Iterator

EACH = -(-600 // len(KINDS))
SEED = "make test"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("fuzz")
    made = Process(folder / "jail", folder / "seeds", SEED)
    yield made
    made.close()


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_give_the_same_numbers_or_words(process: Process, kind: str):
    results = [process.ask(kind, case) for case in range(EACH)]
    failed = [
        f"FUZZ_SEED={SEED!r} python -m tests.fuzz --kind {kind} --case {r.case}\n"
        f"{r.seed}, {r.mutation}: {r.detail}"
        for r in results
        if r.verdict == FAILED
    ]
    assert not failed, "\n".join([f"{len(failed)} of {EACH}", *failed])
