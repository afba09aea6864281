"""A window that is killed while somebody paints loses at most the last two seconds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from napari_fddm.pipeline.store import AnalysisStore
from tests.support.leaks import held_locks
from tests.support.stores import make, replay

pytestmark = [pytest.mark.gui, pytest.mark.slow]

AT_RISK_S = 2.0
PAINTING_S = 4.0
STROKES = 60
"""And as many as this, however slow the machine is."""


def test_a_killed_window_keeps_every_stroke_older_than_two_seconds(tmp_path):
    path = tmp_path / "s.fddm.ome.zarr"
    make(path).close()
    command = [sys.executable, "-m", "tests.support.painting", str(path)]
    environment = os.environ | {"XDG_DATA_HOME": str(tmp_path / "data")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as window:
        lines = [window.stdout.readline()]
        began = time.monotonic()
        while time.monotonic() - began < PAINTING_S or len(lines) < STROKES:
            lines.append(window.stdout.readline())
        window.send_signal(signal.SIGKILL)
        killed = time.time()
        lines += window.stdout.readlines()
    strokes = [line.split() for line in lines if line.count(" ") == 3 and line.endswith("\n")]
    safe = [tuple(map(int, s[1:])) for s in strokes if float(s[0]) < killed - AT_RISK_S]
    assert safe
    with AnalysisStore.open(path) as store:
        labels = store.labels("corrected")
        assert np.array_equal(labels, replay(store))
    assert [s for s in safe if labels[s[0], s[1]] != s[2]] == []
    assert held_locks(path) == []
    with AnalysisStore.open(path, "r+") as store:  # and it can be gone on with
        store.corrections.sync()
        assert np.array_equal(store.labels("corrected"), labels)
