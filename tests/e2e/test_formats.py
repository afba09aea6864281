"""`napari-fddm run` on every real file: a store, or one line that names file and reason.

A small part of each with a tiny model, so that it stays quick; docs/formats.md has the whole.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_fddm.cli import main as main_module
from napari_fddm.pipeline.store import AnalysisStore
from tests.support.data import WSI

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    Run = Callable[..., tuple[int, str]]

pytestmark = pytest.mark.skipif(not WSI.is_dir(), reason=f"no real slides in {WSI}")

SCRIPT = Path(__file__).parents[2] / "scripts" / "formats_table.py"

SLIDES = {
    "boxes/boxes_0.dcm": (),
    "boxes/boxes.tiff": ("--mpp", "0.5"),
    "boxes/small.svs": (),
    "derived/CMU-1-region.ome.tif": (),
    "derived/CMU-1-region_pyramid.tif": (),
    "dicom/CMU-1-Small-Region": (),
    "ndpi/test3-DAPI-2-(387).ndpi": (),
    "ome/cells.ome.tif": (),
    "osteosarcoma-mosaics/Case-3_mosaic.tif": (),
    "osteosarcoma-mosaics/Case-48_mosaic.tif": (),
    "osteosarcoma-mosaics/P9_mosaic.tif": (),
    "svs/CMU-1-Small-Region.svs": (),
    "svs/tcga-cr-7395-01a-01-ts1.svs": ("--mpp", "0.5"),
    "tiff/kidney-48-5.tif": ("--mpp", "0.5"),
    "tiff/small_HE_levels.tiff": ("--mpp", "0.5"),
}
REFUSED = {
    "dicom/ez_camelyon": "28.968",
    "dicom/gcp_jpeg": "16.783",
    "dicom/pathml_small/small_dicom.dcm": "ImageType",
    "malformed/OT-MONO2-8-colon.dcm": "old form of DICOM",
    "malformed/broken.svs": "text file",
    "malformed/empty.svs": "empty",
    "malformed/text_named.svs": "text file",
    "malformed/truncated_half.svs": "cut off",
    "malformed/unopenable.tiff": "compression",
    "manifest.csv": "text file",
    "ome/cells-2c.ome.tif": "2 channels",
    "osteosarcoma-mosaics/P9_mosaic.gt.json": "text file",
    "svs/tcga-cr-7395-01a-01-ts1.svs": "--mpp",
    "tiff/smalltif.tif": "16-bit",
}
JARGON = ("Error", "Traceback", " 0x", "<", "COMPRESSION", "NoneType")


def there(name: str) -> Path:
    if not (WSI / name).exists():
        pytest.skip(f"no {name}")
    return WSI / name


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tiny_model: Path,
    tmp_path: Path,
) -> Run:
    """Analyze one slide in this process; returns exit code and what was said to be wrong."""

    def call(slide: object, *options: str) -> tuple[int, str]:
        arguments = [
            "run", slide, "-o", tmp_path / "out.ome.zarr", "--model", tiny_model, "--quiet",
            "--stage", "patch", "--device", "cpu", "--report", tmp_path / "r.json", *options,
        ]  # fmt: skip
        monkeypatch.setattr(sys, "argv", ["napari-fddm", *map(str, arguments)])
        capfd.readouterr()
        try:
            main_module.main()
        except SystemExit as stop:
            return int(stop.code or 0), capfd.readouterr().err
        return 0, capfd.readouterr().err

    return call


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("formats_table", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["formats_table"] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", SLIDES)
def test_a_slide_ends_with_a_valid_store(name: str, run: Run, tmp_path: Path) -> None:
    whole = ("--tissue", "all", "--region", "0", "0", "500", "500")
    code, said = run(there(name), *whole, *SLIDES[name])
    assert (code, said) == (0, "")
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["slide"] == Path(name).name
    assert 0.05 <= report["mpp"] <= 5
    assert sum(report["areas_mm2"].values()) > 0
    with AnalysisStore.open(tmp_path / "out.ome.zarr") as store:
        store.validate()
        assert store.labels("patch")[0, 0] != 0


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_slide_ends_with_one_line(name: str, run: Run, tmp_path: Path) -> None:
    code, said = run(there(name))
    assert code == 2
    assert said.startswith("napari-fddm: ")
    assert len(said.splitlines()) == 1
    assert Path(name).name in said
    assert REFUSED[name] in said
    assert str(WSI) not in said
    assert not [word for word in JARGON if word in said]
    assert not (tmp_path / "out.ome.zarr").exists()


@pytest.mark.parametrize("version", [0, 1])
def test_a_converted_slide(run: Run, script: ModuleType, tmp_path: Path, version: int) -> None:
    targets = list(script.converted(there("svs/CMU-1-Small-Region.svs"), tmp_path))
    place = targets[version].place
    code, said = run(place, "--tissue", "all", "--region", "0", "0", "500", "500")
    assert (code, said) == (0, "")
    assert json.loads((tmp_path / "r.json").read_text())["mpp"] == 0.499


def test_damaged_tiles_are_counted_and_placed(run: Run, script: ModuleType, tmp_path: Path) -> None:
    few, many = script.damaged(there("osteosarcoma-mosaics/P9_mosaic.tif"), tmp_path)
    code, said = run(few.place)
    assert (code, said) == (0, "")
    report = json.loads((tmp_path / "r.json").read_text())
    lost = next(note for note in report["notes"] if "could not be read" in note)
    assert lost.startswith("1 tile")
    assert "row 8, column 8" in lost
    with AnalysisStore.open(tmp_path / "out.ome.zarr") as store:
        labels = store.labels("patch")
    assert labels[8, 8] == 0
    assert np.count_nonzero(labels[7:10, 7:10]) == 8
    code, said = run(many.place, "-o", str(tmp_path / "many.ome.zarr"))
    assert code == 2
    assert len(said.splitlines()) == 1
    assert "tissue tiles cannot be read" in said
    assert Path(many.place).name in said
    assert (tmp_path / "many.ome.zarr").is_dir()


def test_the_document_lists_every_file(script: ModuleType) -> None:
    text = (SCRIPT.parents[1] / "docs" / "formats.md").read_text(encoding="utf-8")
    table = text.split(script.BEGIN)[1]
    for target in script.targets_in(WSI, WSI):
        assert f"| {target.name} |" in table
    assert "lines!)" not in table
