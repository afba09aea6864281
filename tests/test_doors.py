"""Where something from outside may come in, by the syntax trees of the program."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import napari_fddm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGE = Path(napari_fddm.__file__).parent
TREES = {
    path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}
BOUNDARY = "core/outside/"
READERS = {
    "PIL.Image.open", "bz2.open", "csv.DictReader", "csv.reader", "gzip.GzipFile", "gzip.open",
    "json.load", "json.loads", "lzma.open", "numpy.genfromtxt", "numpy.loadtxt", "pandas.read_csv",
    "pyarrow.csv.read_csv", "safetensors.deserialize", "safetensors.safe_open",
    "safetensors.torch.load", "safetensors.torch.load_file", "shutil.unpack_archive",
    "tarfile.open", "tifffile.TiffFile", "tifffile.TiffSequence", "tifffile.imread",
    "tifffile.memmap", "tomllib.load", "tomllib.loads", "xml.etree.ElementTree.fromstring",
    "xml.etree.ElementTree.parse", "zarr.open", "zarr.open_array", "zarr.open_consolidated",
    "zarr.open_group", "zipfile.ZipFile",
}  # fmt: skip
"""What opens or parses bytes of others. ``zipfile.ZipFile(…, "w")`` writes."""
RUNNERS = {
    "dill.load", "dill.loads", "eval", "exec", "joblib.load", "marshal.load", "marshal.loads",
    "os.popen", "os.system", "pickle.load", "pickle.loads", "pickle.Unpickler", "shelve.open",
    "subprocess.getoutput", "subprocess.getstatusoutput", "yaml.load",
}  # fmt: skip
"""What may run what it is given."""
UNIT_NAMES = {
    "cm", "centimeter", "centimetre", "inch", "micrometer", "micrometre", "micron", "microns",
    "millimeter", "millimetre", "mm", "nanometer", "nanometre", "nm", "um", "µm", "μm",
}  # fmt: skip


def names_of(tree: ast.Module) -> dict[str, str]:
    """Return what each imported name of a module stands for."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                found[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def dotted(node: ast.AST, names: dict[str, str]) -> str:
    """Return the full name of an expression like ``np.load``; "" if it has none."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value, names)
        return f"{owner}.{node.attr}" if owner else ""
    return ""


def uses(tree: ast.Module, wanted: set[str]) -> Iterator[tuple[str, ast.AST, ast.Call | None]]:
    """Yield each use of one of the names, with the call that it is the function of."""
    names = names_of(tree)
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    said = annotated(tree)
    for node in ast.walk(tree):
        if id(node) in said:
            continue
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            name = dotted(node, names)
            if name in wanted:
                yield name, node, calls.get(id(node))


def annotated(tree: ast.Module) -> set[int]:
    """Return the nodes that only say of what type something is."""
    roots: list[ast.expr | None] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign):
            roots.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            roots.append(node.returns)
    return {id(node) for root in roots if root is not None for node in ast.walk(root)}


def constant(call: ast.Call, keyword: str, place: int = -1) -> object:
    """Return a constant argument of a call; None if there is none."""
    given = next((k.value for k in call.keywords if k.arg == keyword), None)
    if given is None and 0 <= place < len(call.args):
        given = call.args[place]
    return given.value if isinstance(given, ast.Constant) else None


def readers(tree: ast.Module) -> set[str]:
    return {
        name
        for name, _, call in uses(tree, READERS)
        if not (name == "zipfile.ZipFile" and call and constant(call, "mode", 1) in {"w", "x"})
    }


def units(tree: ast.Module) -> set[str]:
    """Names of units as keys of a table, or compared with."""
    found: set[str] = set()
    for node in ast.walk(tree):
        parts: list[ast.expr | None] = []
        if isinstance(node, ast.Dict):
            parts = list(node.keys)
        elif isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
            parts += [
                e for p in parts if isinstance(p, ast.Set | ast.List | ast.Tuple) for e in p.elts
            ]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        found |= {
            part.value
            for part in parts
            if isinstance(part, ast.Constant) and isinstance(part.value, str)
        } & UNIT_NAMES
    return found


def images(tree: ast.Module) -> set[str]:
    """Images of a file that are taken by their place in a list."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant | ast.UnaryOp):
            name = ast.unparse(node.value).rpartition(".")[2]
            if name in {"series", "images", "scenes"}:
                found.add(ast.unparse(node))
    return found


RULES: dict[str, tuple[Callable[[ast.Module], set[str]], Callable[[str], bool]]] = {
    "readers": (readers, lambda file: not file.startswith(BOUNDARY)),
    "units": (units, lambda file: file != "core/units.py"),
    "images": (images, lambda file: file.startswith("slides/") and file != "slides/choosing.py"),
}


@pytest.mark.parametrize("rule", RULES)
def test_what_comes_from_outside_has_one_door(rule: str):
    """Readers, names of units, and the choice of an image: each in one place."""
    find, concerned = RULES[rule]
    found = {file: find(tree) for file, tree in TREES.items() if concerned(file)}
    assert {file: names for file, names in found.items() if names} == {}


def test_the_rules_see_what_they_forbid():
    code = (
        "import numpy as np, zarr\nfrom PIL import Image as I\nimport zipfile\n"
        "np.loadtxt(a); zarr.open_group(a); I.open(a); zipfile.ZipFile(a)\n"
        "zipfile.ZipFile(a, 'w'); f(zipfile.BadZipFile)\n"
        "import tifffile\ndef f(a: tifffile.TiffFile) -> tifffile.TiffFile: ...\n"
        "unit == 'micron'; {'µm': 1}; unit in ('mm', 'x'); say('nm')\n"
        "file.series[0]; images[-1]; images[k]\n"
    )
    tree = ast.parse(code)
    assert readers(tree) == {
        "numpy.loadtxt", "zarr.open_group", "PIL.Image.open", "zipfile.ZipFile",
    }  # fmt: skip
    assert units(tree) == {"micron", "µm", "mm"}
    assert images(tree) == {"file.series[0]", "images[-1]"}


def test_nothing_is_run_that_was_read():
    found: dict[str, set[str]] = defaultdict(set)
    for file, tree in TREES.items():
        for name, node, call in uses(tree, RUNNERS | {"torch.load", "numpy.load"}):
            if name == "torch.load" and call and constant(call, "weights_only") is True:
                continue
            if name == "numpy.load" and call and constant(call, "allow_pickle", 2) in {None, False}:
                continue
            found[file].add(f"line {node.lineno}: {name}")  # type: ignore[attr-defined]
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and constant(node, "shell"):
                found[file].add(f"line {node.lineno}: shell")
    assert dict(found) == {}


def test_a_model_reaches_the_hub_by_one_module():
    """Nothing else calls huggingface_hub, or builds a network with weights of a hub."""
    found: dict[str, set[str]] = defaultdict(set)
    for file, tree in TREES.items():
        names = names_of(tree)
        if file != "models/hub.py" and any(n.startswith("huggingface_hub") for n in names.values()):
            found[file].add("huggingface_hub")
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in {"from_pretrained", "push_to_hub"}:
                found[file].add(node.attr)
            if isinstance(node, ast.Call) and constant(node, "pretrained") is True:
                found[file].add("pretrained=True")
    assert dict(found) == {"training/stage1/architectures.py": {"pretrained=True"}}


def test_the_window_shows_text_by_its_own_labels():
    """Qt takes HTML in a name for HTML, unless `plain_text` is used."""
    found: dict[str, set[str]] = defaultdict(set)
    for file, tree in TREES.items():
        if not file.startswith("plugin/") or file.startswith("plugin/plumbing/"):
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = dotted(node.func, {}).rpartition(".")[2] or getattr(node.func, "attr", "")
            if name in {"QLabel", "QElidingLabel", "QMessageBox"}:
                found[file].add(f"line {node.lineno}: {name}")
            tip = name in {"setToolTip", "setStatusTip", "setWhatsThis"}
            if tip and not safe_tip(node.args[0]):
                found[file].add(f"line {node.lineno}: {name}")
            if (
                name == "setItemData"
                and "ToolTip" in ast.unparse(node)
                and not safe_tip(node.args[1])
            ):
                found[file].add(f"line {node.lineno}: {name}")
        if any(n.startswith("napari.utils.notifications") for n in names_of(tree).values()):
            found[file].add("napari.utils.notifications")
    assert dict(found) == {}


def safe_tip(argument: ast.expr) -> bool:
    """Whether a tooltip is a text of ours, or made for being shown as it is."""
    if isinstance(argument, ast.Call):
        return dotted(argument.func, {}) in {"tooltip", "wrapped_tooltip"}
    return isinstance(argument, ast.Constant | ast.Name) and (
        isinstance(argument, ast.Constant) or argument.id == "shown"
    )


def test_commands_print_by_one_function():
    """`cli.printing.say` makes control characters visible."""
    found: dict[str, set[str]] = defaultdict(set)
    wanted = {"typer.echo", "typer.secho", "print", "rich.print", "sys.stdout.write",
              "sys.stderr.write", "logging.basicConfig"}  # fmt: skip
    for file, tree in TREES.items():
        if file.startswith("cli/") and file != "cli/printing.py":
            found[file] |= {name for name, _, _ in uses(tree, wanted)}
    assert {file: names for file, names in found.items() if names} == {}
