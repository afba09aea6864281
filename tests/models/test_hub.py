"""The hub gives what the user may have, and says in one line what to do where it does not."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub import errors
from safetensors.torch import load_file, save_file

from napari_fddm.core.errors import DownloadNeededError, WeightsError
from napari_fddm.models import load_model
from napari_fddm.models.bundle import BACKBONE_FILE
from napari_fddm.models.fetching import fetch_needed
from napari_fddm.models.hub import (
    BACKBONES_VARIABLE,
    MODEL_FILES,
    HubSource,
    convert_backbone,
    fetch_backbone,
    fetch_model,
    offline,
)
from napari_fddm.models.registry import find_model
from napari_fddm.models.weights import tensors_sha256

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    EditCard = Callable[[Callable[[dict[str, Any]], None]], Path]

UNI = HubSource("MahmoodLab/UNI")


class Response:
    """As much of an answer of the hub as its errors look at."""

    def __init__(self, status: int) -> None:
        self.status_code = status
        self.headers: dict[str, str] = {}
        self.request = None


def error_of(kind: type[Exception], status: int = 403) -> Exception:
    if issubclass(kind, errors.HfHubHTTPError):
        return kind("first line\nsecond line", response=Response(status))  # type: ignore[arg-type]
    return kind("first line\nsecond line")


@pytest.fixture(autouse=True)
def backbones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "backbones"
    monkeypatch.setenv(BACKBONES_VARIABLE, str(folder))
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[tuple[Any, ...]]]:
    """A hub that gives one answer to everything, and notes what it was asked."""

    def pretend(answer: Any) -> list[tuple[Any, ...]]:
        asked: list[tuple[Any, ...]] = []

        def download(*args: Any, **options: Any) -> str:
            asked.append((*args, options))
            if isinstance(answer, Exception):
                raise answer
            return str(answer)

        monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
        return asked

    return pretend


def refusal(ask: Callable[[], object]) -> WeightsError:
    with pytest.raises(WeightsError) as caught:
        ask()
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_source_is_a_repository_and_perhaps_a_revision():
    assert HubSource.parse("hf:MahmoodLab/UNI") == UNI
    assert HubSource.parse("hf:a/b-c.d@v1.0") == HubSource("a/b-c.d", "v1.0")
    assert UNI.page == "https://huggingface.co/MahmoodLab/UNI"


@pytest.mark.parametrize(
    "text", ["hf:", "hf:a", "hf:a/b@../../x", "hf:a/b/c", "hf:../x", "hf:a/..", "hf:a/b@", "a/b"]
)
def test_what_is_no_source_is_refused(text: str):
    assert "owner/name" in refusal(lambda: HubSource.parse(text)).hint


def test_a_model_of_the_hub_is_its_snapshot(model_folder: Path, hub):
    asked = hub(model_folder)
    options = {"revision": "v2", "allow_patterns": list(MODEL_FILES)}
    assert find_model("hf:lab/model@v2") == model_folder
    assert asked == [("lab/model", options | {"local_files_only": True})]
    assert fetch_model(HubSource("lab/model", "v2")) == model_folder
    assert asked[1:] == [("lab/model", options | {"local_files_only": False})]
    assert not any("bin" in pattern or pattern == "*" for pattern in MODEL_FILES)


def test_a_snapshot_is_checked_like_every_model(model_folder: Path, hub):
    hub(model_folder)
    assert load_model("hf:lab/model", "cpu").card.id == "tiny-random"
    path = model_folder / BACKBONE_FILE
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert "sha256" in refusal(lambda: load_model("hf:lab/model", "cpu")).message


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (error_of(errors.GatedRepoError), "request access"),
        (error_of(errors.HfHubHTTPError, 401), "request access"),
        (error_of(errors.HfHubHTTPError, 403), "hf auth login"),
        (error_of(errors.RepositoryNotFoundError, 401), "hf auth login"),
        (error_of(errors.LocalEntryNotFoundError), "by hand"),
        (error_of(errors.OfflineModeIsEnabled), "by hand"),
        (error_of(errors.HfHubHTTPError, 500), "by hand"),
        (OSError("no space left"), "no space left"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
@pytest.mark.parametrize("ask", [fetch_model, fetch_backbone, convert_backbone])
def test_each_refusal_says_what_to_do(error: Exception, said: str, ask, hub, backbones: Path):
    hub(error)
    found = refusal(lambda: ask(UNI))
    assert said in str(found)
    if "access" in said or "login" in said:
        assert "https://huggingface.co/MahmoodLab/UNI" in found.hint
    if ask is fetch_backbone:
        assert str(backbones / "MahmoodLab" / "UNI" / "model.safetensors") in found.hint


def test_a_revision_that_is_not_there_is_named(hub):
    hub(error_of(errors.RevisionNotFoundError, 404))
    assert "'v9'" in refusal(lambda: fetch_model(HubSource("a/b", "v9"))).message


def test_without_a_connection_nothing_is_found_but_the_cache(tmp_path: Path):
    """With the real library: an empty cache is told, a filled one is used."""
    code = (
        "import socket\nsocket.socket.connect = None\n"
        "from napari_fddm.models.hub import HubSource, find_backbone\n"
        "try:\n    print(find_backbone(HubSource('a/b')))\n"
        "except Exception as error:\n    print(type(error).__name__, error)"
    )
    cache = tmp_path / "cache"
    env = {"HF_HUB_CACHE": str(cache), BACKBONES_VARIABLE: str(tmp_path)}

    def ask() -> str:
        import os

        return subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True, text=True, check=True, env={**os.environ, **env},
        ).stdout.strip()  # fmt: skip

    assert ask().startswith("DownloadNeededError the model needs a/b from the Hugging Face hub")
    commit = "0" * 40
    snapshot = cache / "models--a--b" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (cache / "models--a--b" / "refs").mkdir()
    (cache / "models--a--b" / "refs" / "main").write_text(commit)
    save_file({"x": torch.zeros(1)}, snapshot / "model.safetensors")
    assert ask() == str(snapshot / "model.safetensors")


@pytest.fixture
def gated(model_folder: Path, backbones: Path) -> Path:
    """A model whose backbone lies elsewhere; returns the model's folder."""
    state = load_file(model_folder / BACKBONE_FILE)
    (model_folder / BACKBONE_FILE).unlink()
    path = model_folder / "card.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    del card["files"][BACKBONE_FILE]
    source = {"backbone_source": "hf:MahmoodLab/UNI", "backbone_sha256": tensors_sha256(state)}
    card["classifier"] |= source
    path.write_text(json.dumps(card), encoding="utf-8")
    place = backbones / "MahmoodLab" / "UNI"
    place.mkdir(parents=True)
    save_file(state, place / "model.safetensors")
    return model_folder


def test_a_backbone_of_the_users_own_makes_the_model_whole(
    gated: Path, tiny_model: Path, hub, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NAPARI_FDDM_FLOAT32", "1")
    asked = hub(error_of(errors.GatedRepoError))
    tiles = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), np.uint8)
    model = load_model(str(gated), "cpu")
    expected = load_model(str(tiny_model), "cpu").classify(tiles)
    for found, wanted in zip(model.classify(tiles), expected, strict=True):
        assert np.array_equal(found, wanted)
    assert asked == []
    assert model.identity["backbone"] == {
        "source": "hf:MahmoodLab/UNI",
        "tensors_sha256": model.card.classifier.backbone_sha256,
    }


def test_without_access_the_model_names_the_page(gated: Path, backbones: Path, hub):
    shutil.rmtree(backbones)
    hub(error_of(errors.GatedRepoError))
    error = refusal(lambda: fetch_needed(str(gated)))
    assert "https://huggingface.co/MahmoodLab/UNI" in error.hint


def test_another_backbone_of_the_same_shape_is_refused(gated: Path, backbones: Path):
    path = backbones / "MahmoodLab" / "UNI" / "model.safetensors"
    save_file({k: v + 1 for k, v in load_file(path).items()}, path)
    assert "another sha256" in refusal(lambda: load_model(str(gated), "cpu")).message


def test_a_pickle_is_only_converted_when_asked(gated: Path, backbones: Path, hub):
    """UNI offers pytorch_model.bin alone."""
    place = backbones / "MahmoodLab" / "UNI"
    state = load_file(place / "model.safetensors")
    (place / "model.safetensors").unlink()
    torch.save(state, place / "pytorch_model.bin")
    hub(error_of(errors.RemoteEntryNotFoundError, 404))
    error = refusal(lambda: fetch_needed(str(gated)))
    assert "python -m napari_fddm.models.hub hf:MahmoodLab/UNI" in error.hint
    assert convert_backbone(UNI) == place / "model.safetensors"
    assert load_model(str(gated), "cpu").card.id == "tiny-random"


class Explosive:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("a pickle's code was run",))


@pytest.mark.parametrize("content", [Explosive(), {"x": Explosive()}, [1, 2], {"x": 3}])
def test_a_pickle_of_anything_but_tensors_is_refused(content: object, backbones: Path):
    place = backbones / "MahmoodLab" / "UNI"
    place.mkdir(parents=True)
    torch.save(content, place / "pytorch_model.bin")
    assert "refused" in refusal(lambda: convert_backbone(UNI)).message
    assert not (place / "model.safetensors").exists()


def test_the_digest_of_tensors_does_not_depend_on_their_order():
    state = {"a": torch.arange(6).reshape(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)}
    digest = tensors_sha256(state)
    assert tensors_sha256(dict(reversed(state.items()))) == digest
    assert tensors_sha256({**state, "a": state["a"].T}) != digest
    assert tensors_sha256({**state, "b": state["b"].float()}) != digest


@pytest.fixture
def no_connection(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[object]:
    """No socket may be opened; returns the addresses of those that were wanted."""
    wanted: list[object] = []

    def connect(_socket: object, address: object) -> None:
        wanted.append(address)
        raise OSError("no connection in this test")

    def look_up(host: object, *_: object, **__: object) -> None:
        wanted.append(host)
        raise OSError("no connection in this test")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    return wanted


@pytest.mark.parametrize(
    "change",
    [
        lambda card: card["classifier"].update(backbone_source="hf:MahmoodLab/UNI"),
        lambda card: card["classifier"].update(backbone="hf-hub:timm/resnet18.a1_in1k"),
        lambda card: card["classifier"].update(segmenter="unet", backbone="tu-hf-hub:timm/a"),
        lambda card: card.update(base={"model": "hf:lab/base", "id": "base", "files": {}}),
        lambda card: card["classifier"]["backbone_options"].update(pretrained=True),
        lambda card: card["classifier"]["backbone_options"].update(checkpoint_path="x.pth"),
    ],
    ids=["source", "backbone", "encoder", "base", "pretrained", "checkpoint"],
)
def test_no_card_makes_a_connection(
    edit_card: EditCard, change: Callable[[dict[str, Any]], None], no_connection: list[object]
):
    folder = edit_card(change)
    (folder / "adapter.safetensors").unlink()  # taken from the base, if there is one
    refusal(lambda: load_model(str(folder), "cpu"))
    refusal(lambda: load_model("hf:lab/model", "cpu"))
    assert no_connection == []


def test_what_a_folder_needs_from_the_hub_is_named_and_fetched_when_told(
    edit_card: EditCard, no_connection: list[object]
):
    folder = edit_card(lambda card: card["classifier"].update(backbone_source="hf:lab/backbone"))
    with pytest.raises(DownloadNeededError) as caught:
        load_model(str(folder), "cpu")
    assert caught.value.message == "the model needs lab/backbone from the Hugging Face hub."
    assert caught.value.hint.startswith("--allow-download fetches it.")
    assert no_connection == []
    refusal(lambda: fetch_needed(str(folder)))
    assert no_connection != []


def test_the_hub_is_reached_again_after_it_was_closed(no_connection: list[object]):
    during = []

    def fail() -> None:
        during.append(huggingface_hub.constants.HF_HUB_OFFLINE)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), offline():
        fail()
    assert during == [True]
    assert not huggingface_hub.constants.HF_HUB_OFFLINE
