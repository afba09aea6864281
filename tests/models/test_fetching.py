"""What a model needs from the hub is fetched when the user says so, and nothing else."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import huggingface_hub
import pytest
from huggingface_hub import errors

from napari_fddm.core.errors import DownloadNeededError
from napari_fddm.models import load_model
from napari_fddm.models.fetching import fetch_needed
from napari_fddm.models.hub import BACKBONES_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    EditCard = Callable[[Callable[[dict[str, Any]], None]], Path]


class Hub:
    """A hub with repositories, and a cache that is empty at first."""

    def __init__(self, repositories: dict[str, Path]) -> None:
        self.repositories, self.cache, self.fetched = repositories, set[str](), list[str]()

    def snapshot(self, repo: str, *, local_files_only: bool, **_: object) -> str:
        if repo not in self.cache:
            if local_files_only:
                raise errors.LocalEntryNotFoundError("not here")
            self.cache.add(repo)
            self.fetched.append(repo)
        return str(self.repositories[repo])

    def file(self, repo: str, name: str, **options: Any) -> str:
        return f"{self.snapshot(repo, **options)}/{name}"


@pytest.fixture
def hub(model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    base = shutil.copytree(model_folder, tmp_path / "base")
    shutil.copyfile(base / "backbone.safetensors", base / "model.safetensors")
    made = Hub({"lab/base": base, "lab/backbone": base})
    monkeypatch.setattr(huggingface_hub, "snapshot_download", made.snapshot)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", made.file)
    monkeypatch.setenv(BACKBONES_VARIABLE, str(tmp_path / "backbones"))
    return made


def test_a_bundled_model_needs_nothing(hub: Hub):
    fetch_needed("fddm-small")
    assert hub.fetched == []


def test_a_model_of_the_hub_is_fetched_once(hub: Hub):
    with pytest.raises(DownloadNeededError, match="lab/base"):
        load_model("hf:lab/base", "cpu")
    for _ in range(2):
        fetch_needed("hf:lab/base")
    assert hub.fetched == ["lab/base"]
    assert load_model("hf:lab/base", "cpu").card.id == "tiny-random"


def test_the_base_of_an_adapted_model_is_fetched(hub: Hub, edit_card: EditCard):
    base = {"model": "hf:lab/base", "id": "tiny-random", "files": {}}
    folder = edit_card(lambda card: card.update(base=base))
    (folder / "refiner.safetensors").unlink()
    (folder / "backbone.safetensors").unlink()
    with pytest.raises(DownloadNeededError, match="lab/base"):
        load_model(str(folder), "cpu")
    fetch_needed(str(folder))
    assert load_model(str(folder), "cpu").can_refine
    assert hub.fetched == ["lab/base"]


def test_a_backbone_that_a_card_names_is_fetched(hub: Hub, edit_card: EditCard):
    folder = edit_card(lambda card: card["classifier"].update(backbone_source="hf:lab/backbone"))
    with pytest.raises(DownloadNeededError, match="lab/backbone"):
        load_model(str(folder), "cpu")
    fetch_needed(str(folder))
    assert load_model(str(folder), "cpu").backbone_sha256
    assert hub.fetched == ["lab/backbone"]
