from __future__ import annotations

import pytest

from napari_fddm.plugin.panels.compare_row import Side
from napari_fddm.plugin.state.tools import Action
from tests.support.controllers import refined_halves

pytestmark = pytest.mark.gui


class FakeCurtain:
    def __init__(self):
        self.hung, self.removed = [], 0

    def clip(self, left, right, titles):
        self.hung.append((list(left), list(right), titles))

    def remove(self):
        self.removed += 1


@pytest.fixture
def curtains(bench):
    made = []

    def new():
        made.append(FakeCurtain())
        return made[-1]

    bench.controller.compare._new_curtain = new
    return made


def visible(analysis):
    return [layer.visible for layer in analysis.layers]


def choose(box, side):
    box.setCurrentIndex(box.findData(side.value))
    box.activated.emit(box.currentIndex())


def test_nothing_to_compare_without_an_analysis(bench, curtains):
    row = bench.panels.classes.compare_row
    assert not row.button.isEnabled()
    bench.controller.compare.toggle()
    assert not curtains
    assert not row.button.isChecked()


def test_without_a_canvas_the_button_does_not_stay_down(bench):
    refined_halves(bench)
    row = bench.panels.classes.compare_row
    row.button.click()
    assert not row.button.isChecked()


def test_each_side_shows_its_map_and_the_others_are_hidden(bench, curtains):
    analysis = refined_halves(bench)
    row, before = bench.panels.classes.compare_row, visible(analysis)
    opacities = [layer.opacity for layer in analysis.layers]
    row.button.click()
    (curtain,) = curtains
    left, right, titles = curtain.hung[-1]
    assert (left, right) == ([analysis.refined_layer], [analysis.layer])
    assert titles == ("refined", "corrected")
    assert visible(analysis) == [False, True, True]

    choose(row.left_box, Side.PATCH)
    choose(row.right_box, Side.SLIDE)
    assert curtain.hung[-1] == ([analysis.patch_layer], [], ("patch", "slide only"))
    assert visible(analysis) == [True, False, False]

    row.button.click()
    assert curtain.removed == 1
    assert visible(analysis) == before
    assert [layer.opacity for layer in analysis.layers] == opacities


def test_a_run_that_ends_meanwhile_keeps_both_maps_in_sight(bench, curtains):
    analysis = refined_halves(bench)
    choose(bench.panels.classes.compare_row.left_box, Side.PATCH)
    bench.controller.compare.start()
    analysis.show_finished()
    bench.controller.run._end("done")
    assert visible(analysis) == [True, False, True]
    assert curtains[0].removed == 0


def test_deleting_the_map_of_a_side_leaves_that_side_bare(bench, curtains):
    analysis = refined_halves(bench)
    bench.controller.compare.start()
    bench.viewer.layers.remove(analysis.refined_layer)
    choose(bench.panels.classes.compare_row.right_box, Side.PATCH)
    assert curtains[0].hung[-1][:2] == ([], [analysis.patch_layer])
    bench.controller.compare.stop()
    assert curtains[0].removed == 1


def test_deleting_the_corrected_map_ends_the_comparison(bench, curtains):
    analysis = refined_halves(bench)
    bench.controller.compare.start()
    bench.viewer.layers.remove(analysis.layer)
    assert curtains[0].removed == 1
    assert not bench.panels.classes.compare_row.button.isChecked()
    assert not bench.panels.classes.compare_row.button.isEnabled()


def test_there_is_no_comparison_in_3d(bench, curtains):
    refined_halves(bench)
    bench.controller.compare.start()
    bench.viewer.dims.ndisplay = 3
    assert curtains[0].removed == 1
    bench.controller.compare.start()
    assert len(curtains) == 1


def test_closing_ends_the_comparison_and_gives_the_key_back(bench, curtains):
    analysis = refined_halves(bench)
    keys = set(analysis.layer.keymap)
    bench.controller.compare.start()
    bench.controller.close()
    assert curtains[0].removed == 1
    assert len(keys - set(analysis.layer.keymap)) == 1


def test_the_marks_of_excluded_cells_hang_with_the_corrected_map(bench, curtains, qtbot):
    analysis = refined_halves(bench)
    row = bench.panels.classes.compare_row
    choose(row.left_box, Side.REFINED)
    choose(row.right_box, Side.CORRECTED)
    row.button.click()
    assert curtains[-1].hung[-1][1] == [analysis.layer]
    analysis.layer.action = Action.EXCLUDE
    analysis.layer.paint((10, 10), 1)
    marks = bench.controller.excluded.marks_of(analysis)
    qtbot.waitUntil(lambda: curtains[-1].hung[-1][1] == [analysis.layer, marks])
    choose(row.right_box, Side.PATCH)
    assert not marks.visible
    row.button.click()
    assert marks.visible
