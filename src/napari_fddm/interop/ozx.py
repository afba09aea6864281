"""Pack an OME-Zarr into one file, ``.ozx`` (the zipped form of NGFF RFC-9), and read one.

Nothing is compressed a second time, and every ``zarr.json`` comes first, the
root's before all others, so that a reader finds the hierarchy at the start. The
archive carries no OME comment: the RFC reserves that for stores whose arrays are
all sharded, and label maps that are painted on are not.
"""

from __future__ import annotations

import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fddm.core.errors import StoreError
from napari_fddm.core.files import storage_errors
from napari_fddm.core.outside.archives import open_zip, unpack
from napari_fddm.core.outside.json_files import as_object, parse_json
from napari_fddm.core.outside.zarr_files import open_zip_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zarr.abc.store import Store

SUFFIX = ".ozx"
_METADATA = "zarr.json"
_WHAT = "a zipped OME-Zarr"
_BLOCK = 1 << 20


def write_ozx(source: Path, destination: Path) -> None:
    """Pack the folder of an OME-Zarr into one new file.

    Parameters
    ----------
    source : Path
        The OME-Zarr's folder.
    destination : Path
        File to create; must not exist.

    Raises
    ------
    StoreError
        If the folder is no zarr store, the file exists or cannot be written.
    """
    names = sorted(
        (p.relative_to(source).as_posix() for p in source.rglob("*") if p.is_file()),
        key=lambda name: (Path(name).name != _METADATA, name.count("/"), name),
    )
    if not names or names[0] != _METADATA:
        raise StoreError(f"{source} is not a zarr store.", hint="Give the folder of an OME-Zarr.")
    with storage_errors("write", destination):
        destination.touch(exist_ok=False)
        try:
            with zipfile.ZipFile(destination, "w", zipfile.ZIP_STORED) as archive:
                for name in names:
                    archive.write(source / name, name)
        except BaseException:
            destination.unlink()
            raise


def check_ozx(path: Path, source: Path) -> None:
    """Read a file back that `write_ozx` wrote, and compare it with the folder byte by byte.

    Raises
    ------
    StoreError
        Naming the first entry that differs.
    """
    with open_zip(path, _WHAT) as archive:
        for entry in archive.infolist():
            with archive.open(entry) as packed, (source / entry.filename).open("rb") as original:
                while block := original.read(_BLOCK):
                    if packed.read(len(block)) != block:
                        raise StoreError(
                            f"{path} was not written as it should be: {entry.filename} differs.",
                            hint="The disk may be failing; export to another one.",
                        )


def read_root_attributes(path: Path) -> dict[str, Any]:
    """Return the attributes of the root group of an ``.ozx`` file.

    Raises
    ------
    StoreError
        If it is no zipped OME-Zarr.
    """
    with open_zip(path, _WHAT) as archive:
        metadata = as_object(parse_json(archive.read(_METADATA), path, what=_WHAT), path)
    return as_object(metadata.get("attributes"), f"{path}: {_METADATA}: attributes")


@contextmanager
def opened(path: Path) -> Iterator[Path | Store]:
    """Yield what zarr opens for a path: the folder itself, or a store for an ``.ozx`` file.

    Raises
    ------
    StoreError
        If the file is damaged.
    """
    if path.suffix != SUFFIX or not path.is_file():
        yield path
        return
    read_root_attributes(path)
    with open_zip_store(path) as store:
        yield store


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Yield a folder: the path itself, or an ``.ozx`` file's content for as long as it is used.

    Raises
    ------
    StoreError
        If the file is damaged, or there is no room for its content.
    """
    if path.suffix != SUFFIX or not path.is_file():
        yield path
        return
    read_root_attributes(path)
    with tempfile.TemporaryDirectory(prefix="fddm-") as folder:
        unpack(path, Path(folder), _WHAT)
        yield Path(folder)
