"""Marks of what is excluded are shown, not painted."""

from __future__ import annotations

import pytest

from napari_fddm.plugin.state.tools import Action
from tests.support.controllers import refined_halves

pytestmark = pytest.mark.gui


def test_marks_cannot_be_painted(bench):
    analysis = refined_halves(bench)
    analysis.layer.action = Action.EXCLUDE
    analysis.layer.paint((30, 30), 3)
    marks = bench.controller.excluded.marks_of(analysis)
    marks.mode = "paint"
    assert marks.mode == "pan_zoom"
    bench.viewer.layers.remove(marks)
    analysis.layer.paint((60, 60), 3)
    assert marks not in bench.viewer.layers
