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
    return folder, killing(folder, tiny_model, "20")


def killing(*arguments: object) -> Any:
    command = [sys.executable, "-m", "tests.support.killing", *map(str, arguments)]
    environment = os.environ | {"NAPARI_FDDM_FLOAT32": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    print(done.stderr)  # noqa: T201 - why an attempt failed, if one did
    return json.loads(done.stdout)


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
        assert store.maps.complete
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


def test_a_revision_that_is_killed_leaves_an_analysis_with_all_corrections(
    tiny_model: Path, tmp_path: Path
):
    found = killing(tmp_path, tiny_model, "7", "revise")
    assert found["ends"][0] == found["ends"][-1] == "finished"
    assert found["ends"][1] == "killed"  # between the two renames
    assert "failed" not in found["ends"]
    painted = found["states"][0]
    assert painted["edits"] == 1
    assert painted["cells"] > 0
    for state in found["states"]:
        assert state == painted
