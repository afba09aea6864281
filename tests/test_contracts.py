"""What the design promises of the source tree itself."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tokenize
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from scripts.untested_modules import module_of, modules

import napari_fddm

ROOT = Path(__file__).parents[1]
PACKAGE = Path(napari_fddm.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 400
"""Lines of code of a file; docstrings, comments and blank lines are welcome."""
FULLEST = 24
"""Modules of a folder: what one can take in at a glance."""
CROSS_CUTTING = {
    "test_audit.py": "the audit of what is installed",
    "test_citations.py": "what docstrings and pages cite",
    "test_contracts.py": "the source tree as a whole",
    "test_doors.py": "where something from outside may come in",
    "test_docs.py": "pages against what they document",
    "test_earlier_versions.py": "files of every kind that earlier versions wrote",
    "test_examples.py": "the programs in examples/",
    "test_properties.py": "properties from slide to report",
    "test_readme.py": "the README's claims",
    "test_science.py": "the benchmarks",
    "test_wheel.py": "the distribution",
    "e2e": "the programs as users start them",
    "fuzz": "damaged files of every kind",
    "cli/test_training_page.py": "a page of the documentation against every command",
    "plugin/test_isolation.py": "the tests themselves",
    "plugin/test_manifest.py": "napari.yaml",
    "plugin/test_two_slides.py": "two analyses in one window",
    "slides/test_contract.py": "every backend by the same tests",
    "slides/test_real_files.py": "every backend on scanners' files",
    "slides/test_registration.py": "every backend's pixels in their places",
}
"""Tests that are named after no module, and what they test."""
_NO_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENDMARKER,
}  # fmt: skip
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


def code_lines(text: str) -> int:
    """Count the lines that hold code: no docstrings, comments or blank lines."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    spans = [(t.start[0], t.end[0]) for t in tokens if t.type not in _NO_CODE]
    strings = [
        (node.lineno, node.end_lineno)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]
    return len(lines_of(spans) - lines_of(strings))


def lines_of(spans: list[tuple[int, int]]) -> set[int]:
    return {line for first, last in spans for line in range(first, last + 1)}


def test_lines_of_code_are_counted():
    text = '"""A.\n\nB.\n"""\n\n# c\nx = """d\n\ne"""  # f\n"""g"""\n\n\ndef y():\n    """z."""\n'
    assert code_lines(text) == 4


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_are_short_and_say_what_they_are_for(path: Path):
    text = path.read_text(encoding="utf-8")
    assert code_lines(text) < LONGEST
    assert ast.get_docstring(ast.parse(text)), "a module says what it is for"


def test_no_folder_is_too_full():
    modules_in = Counter(path.parent for path in MODULES if path.name != "__init__.py")
    assert {str(f.relative_to(PACKAGE)): n for f, n in modules_in.items() if n > FULLEST} == {}


def test_importing_a_package_loads_none_of_its_modules():
    """A package may offer names of its modules, which are imported when they are asked for."""
    packages = [p.parent for p in MODULES if p.name == "__init__.py"]
    names = {".".join(p.relative_to(PACKAGE.parent).parts) for p in packages}
    done = python(
        f"import sys, importlib\n"
        f"names = {sorted(names)!r}\n"
        "for name in names: importlib.import_module(name)\n"
        "loaded = {m for m in sys.modules if m.partition('.')[0] == 'napari_fddm'}\n"
        "sys.exit(', '.join(sorted(loaded - set(names))) or 0)"
    )
    assert (done.returncode, done.stderr) == (0, "")


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def offered_names(package: Path) -> dict[str, str]:
    """Return the names that a package offers and the modules they come from."""
    found = {}
    for path in (package, package.with_suffix(".pyi")):
        tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    base = f"{module_name(package)}.{base}".rstrip(".")
                found |= {alias.asname or alias.name: base for alias in node.names}
            if isinstance(node, ast.Dict):  # lazy_loader.attach: {module: [names]}
                for module, names in zip(node.keys, node.values, strict=True):
                    if isinstance(module, ast.Constant) and isinstance(names, ast.List):
                        home = f"{module_name(package)}.{module.value}"
                        found |= {n.value: home for n in names.elts if isinstance(n, ast.Constant)}
    return found


def imports_of(path: Path, files: set[str], offered: dict[str, dict[str, str]]) -> set[str]:
    """Return the modules that a file imports, at its top, for types or in a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                home = offered.get(node.module, {}).get(alias.name, node.module)
                found.add(whole if whole in files else home)
    return found & files


def test_no_files_import_each_other_in_a_circle():
    """Imports for type checkers and in functions count: a circle of ideas is one all the same."""
    files = {module_name(path): path for path in MODULES}
    offered = {n: offered_names(p) for n, p in files.items() if p.name == "__init__.py"}
    # A package only passes names on: whoever takes one depends on the module that has it.
    graph = {
        name: imports_of(path, set(files), offered) - {name}
        for name, path in files.items()
        if path.name != "__init__.py"
    }
    assert len(graph) > 200
    assert "napari_fddm.core.errors" in graph["napari_fddm.core.geometry"]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " → ".join(reversed(error.args[1]))
        pytest.fail(f"files import each other in a circle: {circle}")


def test_tests_mirror_the_source_tree():
    """`tests/ROOM/test_NAME.py` and `test_NAME_ASPECT.py` test `ROOM/NAME.py`."""
    root, known = ROOT / "tests", modules(ROOT)
    strays = [
        path.relative_to(root).as_posix()
        for path in root.rglob("test_*.py")
        if module_of(path, ROOT, known) is None
    ]
    excepted = [s for s in strays if s in CROSS_CUTTING or s.split("/")[0] in CROSS_CUTTING]
    assert sorted(set(strays) - set(excepted)) == []
    used = {s if s in CROSS_CUTTING else s.split("/")[0] for s in excepted}
    assert used == set(CROSS_CUTTING), "an exception that is not needed any more"


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
