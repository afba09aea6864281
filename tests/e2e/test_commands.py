"""The commands a user types, as processes of their own, on the bundled model and real slides."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_fddm.pipeline.store import AnalysisStore
from tests.support.data import WSI

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

REAL_SLIDES = ["svs/CMU-1-Small-Region.svs", "osteosarcoma-mosaics/P9_mosaic.tif"]


def command(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "napari_fddm", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=280,
    )


def test_the_demo_meets_its_own_bar(tmp_path):
    done = command("demo", "--out", "demo", "--no-window", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "truth of the synthetic slide" in done.stdout
    report = json.loads((tmp_path / "demo" / "report.json").read_text())
    assert 0 < report["rate"] < 1
    off = re.search(r"off by ([0-9.]+) points", done.stdout)
    assert off is not None
    assert float(off[1]) <= 3.0
    assert report["coverage"] > 0.95
    assert all(area > 0 for area in report["areas_mm2"].values())
    with Image.open(tmp_path / "demo" / "preview.png") as preview:
        assert len(preview.convert("RGB").getcolors(1 << 24)) > 1000
    store = tmp_path / "demo" / "demo.fddm.ome.zarr"
    rate = command("rate", store, "--json", cwd=tmp_path)
    assert json.loads(rate.stdout)["rate"] == report["rate"]


@pytest.mark.parametrize("name", REAL_SLIDES)
def test_a_real_slide_ends_with_a_store_and_a_report(name, tiny_model, tmp_path):
    if not (WSI / name).exists():
        pytest.skip(f"{WSI / name} is not here")
    out, report = tmp_path / "out.ome.zarr", tmp_path / "r.json"
    done = command(
        "run", WSI / name, "-o", out, "--report", report, "--model", tiny_model, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    written = json.loads(report.read_text())
    with AnalysisStore.open(out) as store:
        store.validate()
        labels = store.labels("corrected")
    counted = np.bincount(labels.ravel(), minlength=8)[1:] * 16e-6
    assert np.allclose(list(written["areas_mm2"].values()), counted, rtol=1e-6)
    assert written["mpp"] > 0
    assert written["coverage"] > 0.9


def test_a_damaged_slide_is_one_line_and_exit_code_2(tmp_path):
    path = tmp_path / "damaged.svs"
    path.write_bytes(b"II*\0\x08\0\0\0" + b"\xff" * 4000)
    done = command("run", path, "-o", tmp_path / "o.ome.zarr", cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "damaged.svs" in done.stderr
    assert not (tmp_path / "o.ome.zarr").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C reaches processes another way there")
def test_ctrl_c_ends_with_130_and_keeps_what_is_finished(tiny_model, tmp_path):
    store = tmp_path / "s.fddm.ome.zarr"
    arguments = ["run", "synthetic:12000x12000?seed=3&mpp=0.5", "-o", store, "--model", tiny_model]
    # Whoever was started in the background by a shell does not hear Ctrl-C, nor do its children.
    heard = (
        "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "runpy.run_module('napari_fddm', run_name='__main__', alter_sys=True)"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", heard, *map(str, arguments), "--batch-size", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 200
    while not finished_tiles(store) and time.monotonic() < deadline:
        assert run.poll() is None, run.communicate()[1]
        time.sleep(0.1)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert (run.returncode, out) == (130, "")
    assert "interrupted; what was finished is kept" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert 0 < finished_tiles(store) < 24 * 24
    with AnalysisStore.open(store, "r+") as made:
        made.maps.begin()  # nobody holds it any more
        made.validate()


def finished_tiles(store: Path) -> int:
    if not store.exists():
        return 0
    with AnalysisStore.open(store) as made:
        return int(made.maps.probability_map("patch").coverage.sum())
