"""``napari-fddm doctor``: checks versions, device, weights, disk space and screen."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from napari_fddm.cli.printing import say
from napari_fddm.core.cards import read_card
from napari_fddm.core.errors import FddmError

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = ("napari-fddm", "torch", "timm", "peft", "diffusers", "zarr", "tifffile", "napari")
FREE_GB = 5


@dataclass(frozen=True, slots=True)
class Check:
    """Result of one check.

    Attributes
    ----------
    name, text : str
        What was checked, and what was found.
    ok : bool or None
        Whether it is as it should be; None for a note that is not a problem.
    """

    name: str
    text: str
    ok: bool | None = True


def print_checks() -> None:
    """Print every check; exit with code 2 if something that a run needs is missing."""
    broken = False
    for check in iter_checks():
        mark = {True: "ok", False: "PROBLEM", None: "note"}[check.ok]
        say(f"{mark:>7}  {check.name}: {check.text}")
        broken |= check.ok is False
    if broken:
        raise typer.Exit(2)


def iter_checks() -> Iterator[Check]:
    """Yield the checks, quick ones first."""
    yield Check("system", f"{platform.platform()}, Python {platform.python_version()}")
    for name in PACKAGES:
        yield _package(name)
    yield _device()
    yield _weights()
    yield _disk()
    yield _screen()


def _package(name: str) -> Check:
    try:
        return Check(name, version(name))
    except PackageNotFoundError:
        if name == "napari":
            text = "not installed: no window; pip install 'napari-fddm[all]' adds it"
            return Check(name, text, None)
        return Check(name, "not installed", False)


def _device() -> Check:
    try:
        from napari_fddm.models import choose_device

        return Check("device", choose_device().title)
    except (ImportError, OSError) as error:
        return Check("device", f"torch cannot be imported: {error}", False)


def _weights() -> Check:
    from napari_fddm.models.registry import DEFAULT_MODEL, bundled_models, find_model
    from napari_fddm.models.weights import check_files

    try:
        folder = find_model(DEFAULT_MODEL)
        card, states = read_card(folder), check_files(folder)
    except FddmError as error:
        return Check("weights", str(error), False)
    wrong = [f"{name} is {state}" for name, state in states.items() if state != "ok"]
    if wrong:
        text = f"{', '.join(wrong)} in {folder}; install napari-fddm again"
        return Check("weights", text, False)
    return Check("weights", f"{', '.join(bundled_models())} complete; {card.trained_on}")


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    return Check("disk", f"{free:.0f} GB free in {Path.cwd()}", free > FREE_GB)


def _screen() -> Check:
    if can_open_window():
        return Check("screen", "a window can be opened")
    return Check("screen", "no screen: the command line works, the window does not", None)


def can_open_window() -> bool:
    """Return whether napari is installed and there is a screen."""
    if find_spec("napari") is None:
        return False
    if platform.system() == "Linux":
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True
