"""Build the package as it would be published, and look at it as a user would get it.

``python scripts/check_wheel.py`` builds the sdist and from it the wheel, compares the wheel's
files with the source tree, installs it into an environment of its own and looks there for the
plugin in napari's menus (installed_plugin.py). By default the dependencies are those of the
environment it is run from and nothing is downloaded; ``--full`` installs all of them
(gigabytes) and runs the demo as well.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import tomllib
import venv
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "src" / "napari_fddm"
NEEDED = (
    "napari_fddm/napari.yaml",
    "napari_fddm/icon.svg",
    "napari_fddm/py.typed",
    "napari_fddm/weights/fddm-small/card.json",
    "napari_fddm/weights/fddm-small/backbone.safetensors",
    "napari_fddm/weights/fddm-small/LICENSE-DINOv2.txt",
)
"""Named although the comparison covers them: the source tree could lack them too."""
LICENCES = ("licenses/LICENSE", "licenses/NOTICE")


def build(folder: Path) -> Path:
    """Build sdist and wheel with the hatchling that is installed; return the wheel."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, REPOSITORY]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = folder.glob("*.whl")
    return wheel


def problems_of_content(wheel: Path) -> list[str]:
    """Say what the wheel lacks, and what has no business in it."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    about = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    source = {
        f"napari_fddm/{path.relative_to(PACKAGE).as_posix()}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    licences = {licence for licence in LICENCES if not any(n.endswith(licence) for n in about)}
    return [
        *(f"the wheel lacks {name}" for name in sorted((source | {*NEEDED}) - names | licences)),
        *(f"the wheel should not hold {name}" for name in sorted(names - about - source)),
    ]


def make_environment(folder: Path, wheel: Path, *, full: bool) -> Path:
    """Install the wheel into a new environment; return its Python."""
    venv.create(folder, symlinks=os.name != "nt", with_pip=False)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    if full:
        constraints = REPOSITORY / "constraints.txt"
        subprocess.run([*pip, "-c", constraints, f"{wheel}[all]"], check=True, cwd=folder)
    else:
        subprocess.run([*pip, "--no-deps", "--no-index", wheel], check=True, cwd=folder)
        borrow_dependencies(python)
    return python


def borrow_dependencies(python: Path) -> None:
    """Let an environment see the packages of this one, behind its own.

    Python reads no ``.pth`` file of a folder that a ``.pth`` file names, so an editable
    installation of the package in this environment stays out of sight.
    """
    ask = [python, "-Ic", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    own = Path(subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip())
    here = [place for place in sys.path if Path(place).name in {"site-packages", "dist-packages"}]
    (own / "borrowed.pth").write_text("\n".join(here) + "\n")


def settings_of_its_own(folder: Path) -> dict[str, str]:
    """Return an environment in which the user's napari settings and data are not touched."""
    own = {f"XDG_{kind}_HOME": str(folder / kind.lower()) for kind in ("CONFIG", "DATA", "CACHE")}
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return kept | own | {"NAPARI_CONFIG": str(folder / "napari.yaml")}


def screen() -> contextlib.AbstractContextManager[object]:
    """Return a screen to draw on: Xvfb where Linux has none."""
    if not sys.platform.startswith("linux") or os.environ.get("DISPLAY"):
        return contextlib.nullcontext()
    from pyvirtualdisplay import Display

    return Display(visible=False, size=(1400, 950))


def try_out(python: Path, folder: Path, *, full: bool) -> bool:
    """Start napari, and in full the demo; whether all went well."""
    commands = [[python, "-I", REPOSITORY / "scripts" / "installed_plugin.py"]]
    script = python.with_name("napari-fddm" + python.suffix)
    commands.append(
        [script, "demo", "--no-window", "--out", folder / "demo"] if full else [script, "--help"]
    )
    with screen():
        environment = settings_of_its_own(folder)
        for command in commands:
            print("$", *(Path(part).name for part in command), flush=True)
            quiet = subprocess.DEVNULL if "--help" in command else None
            if subprocess.run(
                command, check=False, cwd=folder, env=environment, stdout=quiet
            ).returncode:
                return False
    return True


def main() -> int:
    """Build, compare, install, try; 1 if something is amiss."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="install every dependency anew")
    full = parser.parse_args().full
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    with tempfile.TemporaryDirectory(prefix="fddm-wheel-") as name:
        folder = Path(name)
        wheel = build(folder / "dist")
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.0f} MB", flush=True)
        problems = problems_of_content(wheel)
        if not wheel.name.startswith(f"napari_fddm-{version}-py3-none-any"):
            problems.append(f"the wheel is not called after version {version}")
        for problem in problems:
            print(f"WRONG: {problem}")
        python = make_environment(folder / "environment", wheel, full=full)
        tried = try_out(python, folder, full=full)
    return not tried or bool(problems)


if __name__ == "__main__":
    sys.exit(main())
