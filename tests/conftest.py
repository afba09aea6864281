"""What every test needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# What a test or a window of it sets stays out of the user's settings and of other tests that
# run at the same time: napari's, ours in Qt's settings, own definitions. Before napari is
# imported, which reads the name of its file then; every process of a test inherits both.
CONFIG_FOLDER = Path(tempfile.mkdtemp(prefix="napari-fddm-tests-"))
os.environ["NAPARI_CONFIG"] = str(CONFIG_FOLDER / "napari" / "settings.yaml")
os.environ["XDG_CONFIG_HOME"] = str(CONFIG_FOLDER)

# Machines that run the tests are slow at times: no example is judged by its time.
settings.register_profile("napari-fddm", deadline=None)
settings.load_profile("napari-fddm")


def pytest_configure(config: pytest.Config) -> None:
    """Import timm before any window exists.

    Under Mesa's software OpenGL, which test machines have, importing it (through
    triton) into a process with a napari window ends in a segmentation fault. The
    plugin avoids it by keeping torch in a process of its own; ``-m gui`` runs check
    that, every other run mixes both in one process.
    """
    if config.option.markexpr != "gui":
        import timm  # noqa: F401


def pytest_unconfigure() -> None:
    """Remove what was set."""
    shutil.rmtree(CONFIG_FOLDER, ignore_errors=True)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny random model, written by another process.

    ``FDDM_MODEL`` names another model: the screenshots are made with the bundled one.
    """
    if "FDDM_MODEL" in os.environ:
        return Path(os.environ["FDDM_MODEL"])
    folder = tmp_path_factory.mktemp("models") / "tiny"
    subprocess.run([sys.executable, "-m", "tests.support.models", str(folder)], check=True)
    return folder
