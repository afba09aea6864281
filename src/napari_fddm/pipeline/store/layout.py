"""The layout of a store on disk: folders, arrays, version; and where a slide's store belongs.

::

    <slide>.fddm.ome.zarr/
    ├─ 0, 1, 2 …              RGB overview on the label grid (c, y, x)
    ├─ labels/patch           most probable class of the tile around each label cell
    ├─ labels/refined         refined labels on the label grid
    ├─ labels/corrected       the labels as the pathologist corrected them
    ├─ labels/reader-<id>     the same for further readers
    └─ fddm/
       ├─ patch_probs, cell_probs, refined_probs    float16 (class, y, x)
       ├─ patch_labels                              uint8, most probable class per tile
       ├─ tissue_features                           float16 (feature, y, x)
       ├─ tile_done, refined_done                   uint8: 1 = data is complete
       ├─ provenance.json, run.json, synced.json
       └─ events.jsonl
"""

from __future__ import annotations

import re
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fddm.core.errors import StoreError
from napari_fddm.core.files import storage_errors, whole_folder
from napari_fddm.core.maps import TISSUE_FEATURES
from napari_fddm.core.outside.checked_json import verified, write_checked
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.json_files import read_json
from napari_fddm.core.outside.text import visible
from napari_fddm.core.tiling import CELLS_PER_REGION
from napari_fddm.interop import ngff
from napari_fddm.interop.levels import create_array
from napari_fddm.interop.ome_zarr import create_image, create_labels, listed_labels, open_group
from napari_fddm.interop.seals import check_seal, sealed_block

if TYPE_CHECKING:
    from collections.abc import Mapping

    import zarr

    from napari_fddm.core.classes import ClassTable
    from napari_fddm.core.geometry import MapGeometry
    from napari_fddm.core.tiling import TileGrid

SUFFIX = ".fddm.ome.zarr"
SCHEMA = 3
"""Version of this layout. Since 3, chunks, JSON files and metadata carry checksums, and a chunk
that was written exists, whatever it holds."""
OLDEST = 2
"""Oldest version that is read, edited and continued; a store keeps the version it has."""

PATCH, REFINED, CORRECTED = "patch", "refined", "corrected"
SPREAD = "spread"
"""Key in a run's provenance: the windows of the label map in which strokes were spread."""
REPLACES = "replaces.json"
"""File in a new store until it has replaced an old one: the name that the old one gets."""
READER_PREFIX = "reader-"
OURS = "fddm"
PROVENANCE, RUN, SYNCED, EVENTS = "provenance.json", "run.json", "synced.json", "events.jsonl"
RUN_LOCK = "run.lock"

_DAMAGED = "Restore the analysis from a backup or run it again."
_CHUNK = CELLS_PER_REGION
"""Cells (or tiles) per side of a chunk: a refined region replaces at most four."""
_READER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class StoreGeometries:
    """The three grids of a store.

    Attributes
    ----------
    tile : MapGeometry
        One cell per tile.
    cell : MapGeometry
        Bridge cells: a whole number of them along each tile.
    label : MapGeometry
        Labels and overview.
    """

    tile: MapGeometry
    cell: MapGeometry
    label: MapGeometry

    def __post_init__(self) -> None:
        """Refuse grids that do not fit each other."""
        per_tile = self.cells_per_tile
        fits = self.cell.shape == (self.tile.shape[0] * per_tile, self.tile.shape[1] * per_tile)
        same = self.tile.origin == self.cell.origin and self.tile.mpp == self.cell.mpp
        if not fits or not same or abs(self.cell.cell * per_tile / self.tile.cell - 1) > 1e-9:
            raise StoreError(f"the cell grid {self.cell} does not divide the tiles {self.tile}.")
        if self.label.mpp != self.tile.mpp:
            raise StoreError(f"the grids disagree on mpp: {self.label.mpp} and {self.tile.mpp}.")

    @classmethod
    def of_grid(cls, grid: TileGrid, label_mpp: float) -> StoreGeometries:
        """Return the geometries of a slide's tile grid and label resolution (µm)."""
        return cls(grid.geometry, grid.cell_geometry, grid.label_geometry(label_mpp))

    @property
    def cells_per_tile(self) -> int:
        """Bridge cells along the edge of a tile."""
        return max(1, round(self.tile.cell / self.cell.cell))

    def shapes(self, classes: int) -> dict[str, tuple[int, ...]]:
        """Return the arrays of ``fddm/`` and their shapes."""
        return {
            "patch_probs": (classes, *self.tile.shape),
            "cell_probs": (classes, *self.cell.shape),
            "refined_probs": (classes, *self.cell.shape),
            "tissue_features": (TISSUE_FEATURES, *self.cell.shape),
            "patch_labels": self.tile.shape,
            "tile_done": self.tile.shape,
            "refined_done": self.cell.shape,
        }


def create_store(
    path: Path, name: str, geometries: StoreGeometries, table: ClassTable, about: dict[str, Any]
) -> None:
    """Create an empty store, whole or not at all.

    Parameters
    ----------
    path : Path
        Folder to create; parents are made.
    name : str
        Shown by viewers.
    geometries : StoreGeometries
        Its grids.
    table : ClassTable
        Its classes.
    about : dict
        Content of ``provenance.json``.

    Raises
    ------
    StoreError
        If the path is taken or cannot be written.
    """
    with storage_errors("create", path):
        if path.exists():
            raise StoreError(
                f"{path} exists already.",
                hint="Open it, or choose another name for the new one.",
            )
    with whole_folder(path) as built:
        _create_skeleton(built, name, geometries, table)
        write_checked(built / OURS / RUN, run_state(complete=False))
        write_checked(built / OURS / PROVENANCE, about)


def run_state(
    *,
    complete: bool,
    done: Mapping[str, int] | None = None,
    pyramids: bool = False,
    overview: int = 0,
) -> dict[str, Any]:
    """Return the content of ``run.json``.

    Parameters
    ----------
    complete : bool
        Whether the last run came to its end.
    done : mapping of str to int
        Tiles ("tile") and cells ("refined") that were done when this was written. There may
        be more since, but never fewer.
    pyramids : bool
        Whether every chunk of the label maps and of their coarser levels was written.
    overview : int
        Chunks of the overview's finest level that were there, likewise.
    """
    # A new token each time, so that whatever was derived from earlier data is out of date.
    state = {"token": uuid.uuid4().hex, "complete": complete, "pyramids": pyramids}
    counts = {"tile": 0, "refined": 0} | dict(done or {})
    return {**state, "done": counts, "overview_chunks": overview}


def _create_skeleton(path: Path, name: str, geometries: StoreGeometries, table: ClassTable) -> None:
    root = create_image(path, geometries.label, name=name)
    ours = root.create_group(OURS)
    shapes = geometries.shapes(len(table))
    for key, shape in shapes.items():
        create_array(
            ours,
            key,
            shape=shape,
            chunks=(*shape[:-2], _CHUNK, _CHUNK),
            dtype="uint8" if key.endswith(("_done", "_labels")) else "float16",
            fill_value=0,
        )
    # All on the image's own grid, since some viewers ignore the translation of a label map.
    for name in (PATCH, REFINED, CORRECTED):
        create_labels(root, name, geometries.label, table)
    attributes: Any = root.attrs.asdict()
    grids = {k: ngff.geometry_block(getattr(geometries, k)) for k in ("tile", "cell", "label")}
    stated = {"schema": SCHEMA, **grids, "classes": ngff.table_block(table)}
    block = sealed_block(
        root,
        attributes["ome"],
        {**attributes[ngff.BLOCK], **stated},
        [f"{OURS}/{key}" for key in shapes],
    )
    # Last, because a folder without a schema number is not taken for a store.
    root.update_attributes({ngff.BLOCK: block})


def open_root(path: Path, mode: str) -> zarr.Group:
    """Open a store's root group.

    Raises
    ------
    StoreError
        If there is no folder or it is no OME-Zarr 0.5.
    """
    with storage_errors("open", path):
        if not path.exists():
            raise StoreError(f"{path} does not exist.", hint="Check the path or run the analysis.")
        if path.is_file():
            raise StoreError(
                f"{path} is a file, not an analysis.",
                hint=f"Run the slide first; its analysis is a folder whose name ends with "
                f"{SUFFIX}.",
            )
    return open_group(path, mode=mode)


@dataclass(frozen=True, slots=True)
class Header:
    """What a store's own attributes say.

    Attributes
    ----------
    schema : int
        Version of its layout.
    geometries : StoreGeometries
        Its grids.
    table : ClassTable
        Its classes.
    """

    schema: int
    geometries: StoreGeometries
    table: ClassTable

    @property
    def checked(self) -> bool:
        """Whether its chunks, JSON files and metadata carry checksums."""
        return self.schema > OLDEST


def read_header(block: Any, path: Path) -> Header:
    """Read version, grids and classes from a store's own attributes.

    Raises
    ------
    StoreError
        If it is no store of ours, one of a newer version, or damaged.
    """
    schema = block.get("schema") if isinstance(block, dict) else None
    if not isinstance(schema, int):
        raise StoreError(
            f"{path} is not an analysis store of napari-fddm.",
            hint=f"Open a folder whose name ends with {SUFFIX}.",
        )
    if schema > SCHEMA:
        raise StoreError(
            f"{path} was written by a newer napari-fddm (layout {schema}, this one knows "
            f"{SCHEMA}).",
            hint="Update napari-fddm.",
        )
    if schema < OLDEST:
        raise StoreError(
            f"{path} was written by an older napari-fddm (layout {schema}, this one knows "
            f"{SCHEMA}).",
            hint="Run the analysis again.",
        )
    verified(block, path / "zarr.json", required=False)  # last, or a newer layout looks damaged
    hint = "Restore it from a backup or run the analysis again."
    with reading("a store's description", path / "zarr.json", hint=hint, error=StoreError):
        try:
            grids = [ngff.geometry_of_block(block[k]) for k in ("tile", "cell", "label")]
            table = ngff.table_of_block(block["classes"])
            return Header(schema, StoreGeometries(*grids), table)
        except (KeyError, StoreError) as error:
            raise StoreError(
                f"{path}: the store's description is damaged: {error}.", hint=hint
            ) from error


def check_metadata(root: zarr.Group, path: Path, header: Header) -> None:
    """Make sure that everything is there, with the shape, type and place that it was given.

    Raises
    ------
    StoreError
        Naming the first thing that is missing or differs.
    """
    label = header.geometries.label.shape
    shapes = header.geometries.shapes(len(header.table))
    expected: dict[str, tuple[int, ...]] = {f"{OURS}/{k}": v for k, v in shapes.items()}
    names = label_maps(root, path)
    expected |= {"0": (3, *label)} | {f"labels/{name}/0": label for name in names}
    for key, shape in expected.items():
        with reading("an array", f"{path}/{key}/zarr.json", hint=_DAMAGED, error=StoreError):
            found = tuple(root[key].shape) if key in root else None
        if found != shape:
            state = "is missing" if found is None else f"has shape {found}, not {shape}"
            raise StoreError(f"{visible(path)} is damaged: {key} {state}.", hint=_DAMAGED)
    for name in names:  # its array can be read where its own metadata cannot
        place = f"{path}/labels/{name}/zarr.json"
        with reading("a label map", place, hint=_DAMAGED, error=StoreError):
            root[f"labels/{name}"]
    if not header.checked:
        return
    check_seal(root, required=True)
    block: Any = root.attrs[ngff.BLOCK]
    for name in names:
        group = open_group(path, f"labels/{name}")
        check_seal(group, required=True)
        theirs: Any = group.attrs[ngff.BLOCK]
        if theirs["geometry"] != block["label"] or theirs["classes"] != block["classes"]:
            raise StoreError(
                f"{visible(path)} is damaged: labels/{name} has another grid or other classes "
                "than the analysis.",
                hint=_DAMAGED,
            )


def label_maps(root: zarr.Group, path: Path) -> list[str]:
    """Return the names of a store's label maps, those of readers included.

    Raises
    ------
    StoreError
        If the list of them, or one of those that every store has, is missing.
    """
    place = path / "labels" / "zarr.json"
    with reading("a list of label maps", place, hint=_DAMAGED, error=StoreError):
        if "labels" not in root:
            raise StoreError(
                f"{visible(path)} is incomplete: {place.relative_to(path)} is missing.",
                hint="Copy the analysis again, restore it from a backup, or run it again.",
            )
        names = listed_labels(open_group(path, "labels"))
    for name in (PATCH, REFINED, CORRECTED):
        if name not in names:
            raise StoreError(f"{visible(place)} is damaged: {name} is missing.", hint=_DAMAGED)
    return names


def is_our_store(path: Path) -> bool:
    """Whether a folder is an OME-Zarr that this program wrote."""
    if path.is_symlink() or not (path / OURS).is_dir():
        return False
    try:
        attributes = read_json(path / "zarr.json").get("attributes", {})
    except StoreError:
        return False
    if not isinstance(attributes, dict) or "ome" not in attributes:
        return False
    block = attributes.get(ngff.BLOCK)
    return isinstance(block, dict) and "schema" in block


def reader_layer(reader: str) -> str:
    """Return the label map's name of a further reader.

    Raises
    ------
    StoreError
        If the name could not be a folder everywhere.
    """
    if not _READER_NAME.fullmatch(reader):
        raise StoreError(
            f"{reader!r} cannot name a reader.",
            hint="Use up to 64 letters, digits, - and _, a letter or digit first.",
        )
    return f"{READER_PREFIX}{reader}"


def default_store_path(
    slide_path: Path | None, fingerprint: str, series: int | None = None
) -> Path:
    """Return where the store of a slide belongs.

    Beside the slide; or in the user's workspace folder, named by the fingerprint, if the
    slide's folder is read-only or the slide has no path. A store that exists in either
    place is preferred, so that a slide keeps its analysis when it is moved.

    Parameters
    ----------
    slide_path : Path or None
        The slide's file or folder.
    fingerprint : str
        `Slide.fingerprint`.
    series : int, optional
        Number of the image, where it is another than the file's own slide.
    """
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", fingerprint) or "unnamed"
    fallback = workspace_folder() / f"{safe}{SUFFIX}"
    if slide_path is None:
        return fallback
    part = "" if series is None else f".series-{series}"
    beside = slide_path.with_name(f"{slide_path.name}{part}{SUFFIX}")
    if beside.exists() or not (fallback.exists() or not _writable(beside.parent)):
        return beside
    return fallback


def slide_beside(store: Path) -> tuple[Path | None, int | None]:
    """Return the slide beside a store that has its default name, and which image of it.

    The path is None if there is no such slide.
    """
    store = store.absolute()
    beside = store.with_name(store.name.removesuffix(SUFFIX))
    if beside == store:
        return None, None
    if beside.exists():
        return beside, None
    found = re.fullmatch(r"(.+)\.series-([0-9]{1,9})", beside.name)
    file = None if found is None else beside.with_name(found[1])
    if found is None or file is None or not file.exists():
        return None, None
    return file, int(found[2])


def workspace_folder() -> Path:
    """Return the folder for stores that cannot lie beside their slide."""
    from platformdirs import user_data_dir

    return Path(user_data_dir("napari-fddm", appauthor=False)) / "stores"


def _writable(folder: Path) -> bool:
    # Permission bits are not reliable on network shares and Windows, so try it.
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
