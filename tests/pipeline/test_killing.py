"""``kill -9`` at any moment: the store opens, and the run goes on to the very same arrays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from napari_fddm.pipeline.store import AnalysisStore
from tests.support.killing import KILLS
from tests.support.runs import assert_equal, tissue_tiles

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork to be quick"),
]


@pytest.fixture(scope="module")
def killed(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Stores of a run that nobody disturbed and of two that were killed ten times."""
    folder = tmp_path_factory.mktemp("killed")
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.killing", str(folder), str(tiny_model), "20"],
        capture_output=True, text=True, check=False,
        env=os.environ | {"NAPARI_FDDM_FLOAT32": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


@pytest.mark.parametrize("kind", ["moments", "operations"])
def test_ten_kills_change_no_bit_of_the_result(killed: tuple[Path, Any], kind: str):
    folder, found = killed
    assert found["whole"] == "finished"
    ends = found[kind]["ends"]
    assert ends.count("killed") >= KILLS
    assert ends[-1] == "finished"
    assert "failed" not in ends, "a store that was killed could not be continued"
    assert_equal(folder / kind, folder / "whole")
    with AnalysisStore.open(folder / kind) as store:
        assert store.complete
        store.validate()


@pytest.mark.parametrize("kind", ["moments", "operations"])
def test_a_killed_store_opens_and_holds_what_was_finished(killed: tuple[Path, Any], kind: str):
    _, found = killed
    states = found[kind]["states"]
    assert None not in states
    tiles = [state["tiles"] for state in states]
    assert tiles == sorted(tiles), "finished tiles were lost"
    assert tiles[-1] > 0


@pytest.mark.parametrize("kind", ["moments", "operations"])
def test_kills_hit_runs_in_the_middle_of_their_tiles(killed: tuple[Path, Any], kind: str):
    _, found = killed
    tiles = [state["tiles"] for state in found[kind]["states"]]
    assert any(0 < n < tissue_tiles().sum() for n in tiles)
