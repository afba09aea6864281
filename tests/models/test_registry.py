from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_fddm.core.errors import WeightsError
from napari_fddm.models import registry
from napari_fddm.models.registry import bundled_models, find_model

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of bundled models with two in it, and one without a card."""
    folder = tmp_path / "weights"
    for name in ("small", "large", "unfinished"):
        (folder / name).mkdir(parents=True)
    for name in ("small", "large"):
        (folder / name / "card.json").write_text("{}")
    monkeypatch.setattr(registry, "bundled_folder", lambda: folder)
    return folder


def test_bundled_models_have_ids(bundle: Path):
    assert bundled_models() == ["large", "small"]
    assert find_model("small") == bundle / "small"


def test_a_folder_is_a_model_of_the_users_own(bundle: Path, tmp_path: Path):
    mine = tmp_path / "mine"
    mine.mkdir()
    assert find_model(str(mine)) == mine


def test_home_is_understood(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "mine").mkdir()
    assert find_model("~/mine") == tmp_path / "mine"


def test_a_folder_does_not_hide_a_bundled_model(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small").mkdir()
    assert find_model("small") == bundle / "small"


@pytest.mark.parametrize(
    "name", ["tiny", "unfinished", "~nobody-of-this-name/small", "a\0b", "x" * 5000]
)
def test_what_is_no_model_is_refused_with_what_there_is(
    bundle: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    empty = tmp_path / "elsewhere"
    empty.mkdir()
    monkeypatch.chdir(empty)
    with pytest.raises(WeightsError, match="there is no model") as caught:
        find_model(name)
    assert "large, small" in caught.value.hint
    assert "\n" not in str(caught.value)


def test_without_bundled_models_the_hint_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(registry, "bundled_folder", lambda: tmp_path / "nothing")
    assert bundled_models() == []
    with pytest.raises(WeightsError, match="no model") as caught:
        find_model("fddm-small")
    assert "none" in caught.value.hint
