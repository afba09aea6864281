"""Run napari-fddm on every slide it is pointed at and write down what happens.

    python scripts/formats_table.py FOLDER-OR-FILE ... [--write docs/formats.md]

Each file (or folder of DICOM files) is opened and analyzed in full through
``python -m napari_fddm``, in a temporary folder. Slides that do not know their pixel size
are run a second time with ``--mpp 0.5``. One slide is also converted to OME-Zarr 0.4 and 0.5
(the latter also put behind a local web server), and of one two damaged copies are made. The
table is printed, and replaces the one in the given document.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.slides import open_slide

if TYPE_CHECKING:
    from collections.abc import Iterator

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
HEAD = (
    "| file | options | backend | levels | µm/px (source) | result |\n|---|---|---|---|---|---|\n"
)
NEEDS_MPP = "does not say how large its pixels are"
CONVERTED, DAMAGED = "CMU-1-Small-Region.svs", "P9_mosaic.tif"
"""The slides that copies are made of."""
TIMEOUT = 900


@dataclass(frozen=True)
class Target:
    """What to run, and what to call it in the table."""

    name: str
    place: str
    options: tuple[str, ...] = ()


def targets_in(path: Path, root: Path) -> Iterator[Target]:
    """Yield the slides and non-slides in a folder; a folder of DICOM files is one slide."""
    shown = path.relative_to(root).as_posix()
    if path.is_file():
        yield Target(shown, str(path))
        return
    inside = sorted(path.iterdir())
    if inside and all(p.suffix in (".dcm", ".dicom") for p in inside):
        yield Target(f"{shown}/", str(path))
        return
    for entry in inside:
        yield from targets_in(entry, root)


def converted(source: Path, folder: Path) -> Iterator[Target]:
    """Write a slide as OME-Zarr with ome-zarr-py and yield both versions."""
    from ome_zarr.format import FormatV04, FormatV05
    from ome_zarr.writer import write_image

    with open_slide(source) as slide:
        pixels = np.moveaxis(np.asarray(slide.as_dask()[0]), 2, 0)
        mpp = slide.mpp.value
    for fmt in (FormatV04(), FormatV05()):
        name = f"{source.stem}-{fmt.version}.ome.zarr"
        write_image(
            pixels,
            str(folder / name),
            fmt=fmt,
            axes="cyx",
            axes_units=dict.fromkeys("yx", "micrometer"),
            scale={"c": 1.0, "y": mpp, "x": mpp},
        )
        yield Target(f"*{name}*, converted", str(folder / name))


def damaged(source: Path, folder: Path) -> Iterator[Target]:
    """Yield copies of a TIFF in which one tile, and every third one, cannot be decoded."""
    with tifffile.TiffFile(source) as file:
        page = file.pages[0]
        offsets, counts = page.dataoffsets, page.databytecounts
        rows, cols = -(-page.imagelength // page.tilelength), -(-page.imagewidth // page.tilewidth)
    for title, tiles in (
        ("one tile damaged", [rows // 2 * cols + cols // 2]),
        ("every third tile damaged", range(0, len(offsets), 3)),
    ):
        data = bytearray(source.read_bytes())
        for tile in tiles:
            end = offsets[tile] + counts[tile]
            middle = end - counts[tile] // 2
            data[middle:end] = bytes(end - middle)
        copy = folder / f"{title.replace(' ', '-')}{source.suffix}"
        copy.write_bytes(data)
        yield Target(f"*{copy.name}*, from {source.name}", str(copy))


def serve(folder: Path) -> http.server.ThreadingHTTPServer:
    """Serve a folder on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def command(*arguments: str, cwd: str) -> subprocess.CompletedProcess[str]:
    """Run napari-fddm as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "napari_fddm", *arguments],
        capture_output=True, text=True, check=False, cwd=cwd, timeout=TIMEOUT,
    )  # fmt: skip


def row(target: Target) -> str:
    """Open and run one target and return its line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        info = command("info", target.place, *target.options, "--json", cwd=folder)
        facts = json.loads(info.stdout) if info.returncode == 0 else {}
        done = command(
            "run", target.place, *target.options, "-o", "out.ome.zarr", "--report", "r.json",
            "--quiet", cwd=folder,
        )  # fmt: skip
        result = describe(done, Path(folder), facts)
    cells = [
        target.name,
        f"`{' '.join(target.options)}`" if target.options else "",
        facts.get("backend", "–"),
        str(len(facts["levels"])) if facts else "–",
        pixel_size(facts) if facts else "–",
        result,
    ]
    line = "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
    print(line, end="", flush=True)
    return line


def pixel_size(facts: dict[str, Any]) -> str:
    """Say the pixel size and where it is from."""
    if facts["mpp"] is None:
        return "unknown"
    return f"{facts['mpp']:.4g} ({facts['mpp_source']})"


def describe(done: subprocess.CompletedProcess[str], folder: Path, facts: dict[str, Any]) -> str:
    """Say how a run ended: what it analyzed, or its error."""
    printed = done.stderr.strip()
    if done.returncode != 0:
        lines = printed.splitlines()
        note = "" if len(lines) == 1 else f" ({len(lines)} lines!)"
        return f"exit {done.returncode}{note}: {lines[-1].removeprefix('napari-fddm: ')}"
    report = json.loads((folder / "r.json").read_text())
    with AnalysisStore.open(folder / "out.ome.zarr") as store:
        store.validate()
        tiles = int(np.count_nonzero(store.labels("patch")))
    parts = [f"exit 0: {tiles} tiles"]
    if report["coverage"] is not None:
        parts.append(f"{report['coverage']:.1%} of the tissue")
    else:
        parts.append("no tissue")
    notes = [n for n in report["notes"] if "never saw real tissue" not in n]
    warnings = [w for w in facts.get("warnings", []) if "by hand" not in w]
    return ", ".join(parts) + "".join(f"; *{note.rstrip('.')}*" for note in [*warnings, *notes])


def rows(places: list[Path]) -> Iterator[str]:
    """Yield all lines of the table."""
    found = [t for p in places for t in targets_in(p, p if p.is_dir() else p.parent)]
    for target in found:
        line = row(target)
        yield line
        if NEEDS_MPP in line:
            yield row(Target(target.name, target.place, ("--mpp", "0.5")))
    by_name = {Path(t.place).name: Path(t.place) for t in found}
    with tempfile.TemporaryDirectory() as folder:
        if CONVERTED in by_name:
            zarrs = list(converted(by_name[CONVERTED], Path(folder)))
            server = serve(Path(folder))
            name = Path(zarrs[-1].place).name
            url = Target(f"*http://…/{name}*", f"http://127.0.0.1:{server.server_port}/{name}")
            for target in [*zarrs, url]:
                yield row(target)
            server.shutdown()
        if DAMAGED in by_name:
            for target in damaged(by_name[DAMAGED], Path(folder)):
                yield row(target)


def main() -> None:
    """Run everything and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("places", nargs="+", type=Path, help="slides, or folders of them")
    parser.add_argument("--write", type=Path, help="document whose table is replaced")
    options = parser.parse_args()
    table = HEAD + "".join(rows(options.places))
    if options.write is None:
        return
    text = options.write.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    options.write.write_text(f"{before}{BEGIN}\n{table}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
