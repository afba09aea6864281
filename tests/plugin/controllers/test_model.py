"""Choosing a model: what is offered, what its card says, what is refused and how."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from napari_fddm.core.cards import read_card
from napari_fddm.models.registry import bundled_folder
from napari_fddm.plugin.controllers.model import ON_THE_HUB, card_summary, card_text
from napari_fddm.plugin.controllers.rate import SYNTHETIC_BADGE, badge_of
from napari_fddm.plugin.panels.run import MapKind
from tests.support.controllers import Bench

pytestmark = pytest.mark.gui


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "my model"))


def edit_card(folder: Path, **values: object) -> None:
    path = folder / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def offered(bench) -> list[str]:
    box = bench.panels.model.model_box
    return [box.itemText(i) for i in range(box.count()) if box.itemText(i)]


def test_the_bundled_model_is_chosen_and_described_at_first(bench):
    assert offered(bench) == ["fddm-small (bundled)", "Folder…", "From the hub…"]
    text = bench.panels.model.card_label.text()
    assert "7 classes, 1 µm/px" in text
    assert "synthetic" in text
    assert "never for a diagnosis" in text


def test_a_folder_is_taken_for_the_next_run_and_offered_again(bench, folder, tmp_path, qtbot):
    bench.controller.model.choose(str(folder))
    assert offered(bench)[1] == "my model (folder)"
    assert "for tests" in bench.panels.model.card_label.text()
    bench.start()
    assert bench.worker.requests[-1]["model"] == str(folder)
    other = Bench(tmp_path / "b", qtbot)
    assert "my model (folder)" in offered(other)
    other.controller.close()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: shutil.rmtree(f), "there is no model"),
        (lambda f: (f / "card.json").unlink(), "holds no card.json"),
        (lambda f: (f / "card.json").write_text("{"), "cannot be read as a model card"),
        (lambda f: (f / "heads.safetensors").unlink(), "lacks heads.safetensors"),
        (lambda f: edit_card(f, classes=["A", "B"]), "has the classes A, B"),
        (lambda f: edit_card(f, real_classes=["XX"], real_tissue=True), "no class of it"),
    ],
)
def test_what_cannot_be_run_is_said_when_it_is_chosen(bench, folder, spoil, words):
    spoil(folder)
    bench.controller.model.choose(str(folder))
    assert words in bench.panels.model.card_label.text()
    assert not bench.panels.model.card_button.isEnabled()
    assert bench.state.model_name == "fddm-small"


def test_a_model_without_refiner_offers_everything_but_refining(bench, folder):
    edit_card(folder, refiner=None)
    bench.controller.model.choose(str(folder))
    assert "no refiner" in bench.panels.model.card_label.text()
    run = bench.panels.run
    assert (run.config["stage"], run.config["steps"]) == ("refined", 0)
    offered = [run.stage_box.model().item(i).isEnabled() for i in range(run.stage_box.count())]
    assert dict(zip(MapKind, offered, strict=True)) == {
        MapKind.REFINED: False,
        MapKind.CELLS: True,
        MapKind.TILES: True,
    }
    bench.controller.model.choose("fddm-small")
    assert (run.config["stage"], run.config["steps"]) == ("refined", 1)


def test_a_model_whose_radiomics_tell_tiles_shows_tiles(bench, folder):
    classifier = json.loads((folder / "card.json").read_text())["classifier"]
    edit_card(folder, refiner=None, classifier=classifier | {"radiomics": ["first_order"]})
    bench.controller.model.choose(str(folder))
    assert bench.panels.run.kind is MapKind.TILES


def test_what_the_user_chose_stays_when_the_model_can_do_it(bench, folder):
    run = bench.panels.run
    run.stage_box.setCurrentIndex(run.stage_box.findData(MapKind.TILES.value))
    edit_card(folder, refiner=None)
    bench.controller.model.choose(str(folder))
    assert run.kind is MapKind.TILES


def test_an_earlier_runs_cells_are_repeated_by_the_box(bench):
    run = bench.panels.run
    run.advanced.expand(animate=False)
    run.set_config({"stage": "refined", "steps": 0, "seed": 4})
    assert run.kind is MapKind.CELLS
    assert (run.config["steps"], run.config["seed"]) == (0, 4)
    run.set_config({"stage": "refined", "steps": 3})
    assert run.kind is MapKind.REFINED
    assert run.config["steps"] == 3


def test_a_model_on_the_hub_is_left_to_the_engine(bench):
    bench.controller.model.choose("hf:owner/name")
    assert bench.panels.model.card_label.text() == ON_THE_HUB
    assert bench.state.model_name == "hf:owner/name"
    bench.controller.model.choose("hf:no slash")
    assert "is no model on the hub" in bench.panels.model.card_label.text()
    assert bench.state.model_name == "hf:owner/name"


def test_the_whole_card_holds_licence_figures_and_sums():
    card = read_card(bundled_folder() / "fddm-small")
    text = card_text(card)
    for part in (card.licence, card.limits, "mean_iou", *card.files, *card.files.values()):
        assert part in text
    assert len(card_summary(card).splitlines()) == 1  # a label elides one paragraph alone


def test_the_badge_names_the_classes_without_real_tissue():
    classes = ["BG", "VT", "NC", "FH", "HC", "IF", "NT"]
    assert badge_of({"real_tissue": False}) == SYNTHETIC_BADGE
    assert badge_of({"real_tissue": True, "classes": classes, "real_classes": classes}) == ""
    some = {"real_tissue": True, "classes": classes, "real_classes": ["BG", "VT", "NC", "NT"]}
    assert badge_of(some).endswith("never saw real FH, HC, IF.")
    assert badge_of({"real_tissue": True}) == ""  # of an earlier version: unknown


def test_the_badge_belongs_to_the_analysis_in_front(bench):
    bench.start()
    assert bench.panels.rate.badge_label.text() == SYNTHETIC_BADGE
    first = bench.controller.current
    bench.controller.session.current = None
    first.model = {"real_tissue": True}
    bench.controller.session.current = first
    assert bench.panels.rate.badge_label.text() == ""
