"""Measurements that need a window: in a process of their own, on a virtual screen if need be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def table_of(module: str) -> list[str]:
    """Run a module and return the lines of the table that it prints.

    A virtual screen (xvfb-run) is used on Linux machines without a display; where there
    is none either, the one line returned says so.
    """
    command = [sys.executable, "-W", "ignore", "-m", module]
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        if shutil.which("xvfb-run") is None:
            return ["(not measured: there is no display, and no xvfb-run)"]
        command = ["xvfb-run", "-a", *command]
    with tempfile.TemporaryDirectory(prefix="fddm-bench-") as name:
        # A configuration of its own: the measurement must not depend on the user's.
        own = {"NAPARI_CONFIG": str(Path(name) / "settings.yaml")}
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | own
        )
    return [line for line in done.stdout.splitlines() if line.startswith("|")]
