from __future__ import annotations

import pytest

from tests.support.controllers import Bench


@pytest.fixture
def bench(tmp_path, qtbot, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    bench = Bench(tmp_path, qtbot)
    yield bench
    bench.controller.close()


@pytest.fixture
def said(monkeypatch):
    messages = []
    for module in ("run", "saving"):
        monkeypatch.setattr(f"napari_fddm.plugin.controllers.{module}.show_error", messages.append)
    return messages


@pytest.fixture
def own_file(tmp_path, monkeypatch):
    path = tmp_path / "definitions.toml"
    monkeypatch.setattr("napari_fddm.core.definitions.user_definitions_path", lambda: path)
    return path
