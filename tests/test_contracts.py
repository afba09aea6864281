"""What the design promises of the source tree itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import napari_fddm

ROOT = Path(__file__).parents[1]
PACKAGE = Path(napari_fddm.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 400
HEAVY = ("torch", "timm", "peft", "diffusers", "dask", "zarr", "tifffile", "openslide")
GRAPHICAL = ("qtpy", "PyQt6", "napari", "magicgui", "superqt", "vispy")


def python(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True, check=False
    )


def test_dependencies_point_down():
    if not (ROOT / "pyproject.toml").is_file():
        pytest.skip("the contracts lie in pyproject.toml, which an installed package has not")
    code = "import sys; from importlinter.cli import lint_imports_command as lint; sys.exit(lint())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("napari_fddm", (*HEAVY, *GRAPHICAL, "numpy")),
        ("napari_fddm.core.merging", (*HEAVY, *GRAPHICAL)),
        ("napari_fddm.core.tissue", (*HEAVY, *GRAPHICAL)),
        ("napari_fddm.cli.main", (*HEAVY, *GRAPHICAL, "numpy", "pydantic", "scipy")),
        ("napari_fddm.evaluation.metrics", (*HEAVY, *GRAPHICAL, "scipy")),
        ("napari_fddm.slides.opening", (*HEAVY, *GRAPHICAL)),
        ("napari_fddm.pipeline.engine.client", (*HEAVY, *GRAPHICAL)),
        ("napari_fddm.pipeline.run.analyze", GRAPHICAL),
    ],
)
def test_importing_is_cheap_and_needs_no_screen(module: str, forbidden: tuple[str, ...]):
    done = python(
        f"import sys, {module}\n"
        f"sys.exit(', '.join(sorted(set({forbidden!r}) & set(sys.modules))) or 0)"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_public_functions_are_there_and_import_themselves():
    assert set(napari_fddm.__all__) == {
        "__version__",
        "analyze",
        "necrosis_report",
        "open_slide",
        "read_report",
    }
    for name in napari_fddm.__all__:
        assert getattr(napari_fddm, name)
    with pytest.raises(AttributeError, match="attribute nothing"):
        _ = napari_fddm.nothing


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_are_short_and_packages_import_nothing(path: Path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < LONGEST
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module says what it is for"
    if path.name == "__init__.py" and path.parent != PACKAGE:
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]


def test_one_fact_one_place():
    """The palette, the class values and the rate's definitions are written once."""
    for word, home in (("255, 143, 204", "classes.py"), ("0, 158, 115", "classes.py")):
        found = [p.name for p in MODULES if word in p.read_text(encoding="utf-8")]
        assert found == [home]


def test_the_module_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "napari_fddm", "--help"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert "napari-fddm" in done.stdout
    assert done.stderr == ""


def test_the_package_declares_its_types():
    assert (PACKAGE / "py.typed").is_file()
