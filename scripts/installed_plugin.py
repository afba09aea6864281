"""Look for the plugin where a user would: run by check_wheel.py in the environment it made.

It starts napari, walks through its menus, opens the dock widget by its entry in Plugins
and fails with one line for each thing that is not there.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import napari
import npe2
from npe2.manifest.utils import import_python_name
from qtpy import API_NAME
from qtpy.QtWidgets import QApplication

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qtpy.QtWidgets import QMenu

PLUGIN = "napari-fddm"


def entries(menu: QMenu, above: str) -> Iterator[tuple[str, object]]:
    """Walk a menu as it is shown: the path of titles, and the action."""
    menu.aboutToShow.emit()
    for action in menu.actions():
        path = f"{above} > {action.text().replace('&', '')}"
        if action.menu() is not None:
            yield from entries(action.menu(), path)
        elif not action.isSeparator():
            yield path, action


def expected(manifest: npe2.PluginManifest) -> Iterator[tuple[str, str]]:
    """Give the start and the end of the menu path of everything the manifest contributes."""
    contributed = manifest.contributions
    for widget in contributed.widgets:
        yield "Plugins > ", widget.display_name
    for sample in contributed.sample_data:
        yield "File > Open Sample > ", sample.display_name
    titles = {command.id: command.title for command in contributed.commands}
    for place, items in contributed.menus.items():
        for item in items:
            yield f"{place.split('/')[1].capitalize()} > ", titles[item.command]


def problems_of_origin(manifest: npe2.PluginManifest) -> Iterator[str]:
    """Complain of code that does not resolve, or comes from elsewhere than the wheel."""
    names = [command.python_name for command in manifest.contributions.commands]
    for name in names:
        if not callable(import_python_name(name)):
            yield f"{name} is not callable"
    for module in {"napari_fddm", *(name.partition(":")[0] for name in names)}:
        place = Path(import_module(module).__file__ or "")
        if not place.is_relative_to(sys.prefix):
            yield f"{module} comes from {place}, not from the installed wheel"
    print(f"  {len(names)} python names resolve inside {sys.prefix}")


def problems_in_window(manifest: npe2.PluginManifest) -> Iterator[str]:
    """Complain of what napari's menus lack, and of a widget that does not open."""
    viewer = napari.Viewer()
    window = viewer.window
    found = [
        entry
        for title in ("file", "layers", "plugins")
        for entry in entries(getattr(window, f"{title}_menu"), title.capitalize())
    ]
    opener = None
    for start, end in expected(manifest):
        for path, action in found:
            # napari puts "(plugin's name)" behind an entry that stands alone.
            if path.startswith(start) and end in path:
                print(f"  {path}")
                opener = opener or action  # widgets come first
                break
        else:
            yield f'no entry "{end}" under {start}'
    if opener is not None:
        opener.trigger()
        QApplication.processEvents()
        docks = list(window.dock_widgets)
        print(f"  opened: {', '.join(docks)}")
        if not any(manifest.contributions.widgets[0].display_name in dock for dock in docks):
            yield "the entry in Plugins opens no dock widget"
    viewer.close()
    QApplication.processEvents()


def main() -> int:
    """Check everything; 1 if something is amiss."""
    manager = npe2.PluginManager.instance()
    manager.discover()
    manifest = manager.get_manifest(PLUGIN)
    print(f"napari {napari.__version__} with {API_NAME}, {PLUGIN} {manifest.package_version}")
    problems = [*problems_of_origin(manifest), *problems_in_window(manifest)]
    for problem in problems:
        print(f"WRONG: {problem}")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
