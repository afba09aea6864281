"""Which modules have no test file of their name, and which ones no test reaches at all.

    python scripts/untested_modules.py [--coverage FILE] [FOLDER]

A module ``src/napari_fddm/ROOM/NAME.py`` is tested by ``tests/ROOM/test_NAME.py`` and by
``tests/ROOM/test_NAME_ASPECT.py``. What is tested on the way is no reason for alarm: the tests
of the window walk through every panel. FILE, of ``coverage json``, tells those from modules
of which nothing ever runs; `make coverage` writes it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def modules(root: Path) -> set[str]:
    """Return ROOM/NAME of every module but ``__init__``."""
    package = root / "src" / "napari_fddm"
    found = (path.relative_to(package).with_suffix("") for path in package.rglob("*.py"))
    return {path.as_posix() for path in found if not path.name.startswith("__")}


def module_of(path: Path, root: Path, known: set[str]) -> str | None:
    """Return the module that a test file is named after; the longest name counts."""
    room = path.parent.relative_to(root / "tests")
    words = path.stem.removeprefix("test_").split("_")
    for count in range(len(words), 0, -1):
        name = (room / "_".join(words[:count])).as_posix()
        if name in known:
            return name
    return None


def unreached(measured: Path) -> list[str]:
    """Return the files in which no function ever ran; what importing runs does not count."""
    found = []
    for path, file in json.loads(measured.read_text(encoding="utf-8"))["files"].items():
        inside = [f["summary"] for name, f in file["functions"].items() if name]
        if inside and not any(summary["covered_lines"] for summary in inside):
            found.append(path)
    return sorted(found)


def show(title: str, names: list[str]) -> None:
    """Print a list."""
    print(title)
    for name in names:
        print(f"  {name}")


def main() -> None:
    """Print the lists."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--coverage", type=Path, help="what `coverage json` wrote")
    options = parser.parse_args()
    root, known = options.folder, modules(options.folder)
    tested = {module_of(path, root, known) for path in root.glob("tests/**/test_*.py")}
    without = sorted(known - tested)
    show(f"{len(without)} of {len(known)} modules have no test of their name:", without)
    if options.coverage:
        nowhere = unreached(options.coverage)
        show(f"{len(nowhere)} modules are reached by no test:", nowhere)


if __name__ == "__main__":
    main()
