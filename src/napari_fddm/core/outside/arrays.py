"""Read numpy's files: what their heads say is compared with their size before it is allocated."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from napari_fddm.core.errors import DataError, FddmError
from napari_fddm.core.outside.archives import open_zip
from napari_fddm.core.outside.files import open_file
from napari_fddm.core.outside.guard import reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import IO
    from zipfile import ZipFile

    import numpy.typing as npt

_SUFFIX = ".npy"
_HEADS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_HINT = "Delete it, so that it is made again."


def read_arrays(
    path: Path,
    names: Sequence[str],
    what: str,
    *,
    optional: Sequence[str] = (),
    error: type[FddmError] = DataError,
    hint: str = _HINT,
) -> dict[str, npt.NDArray[Any]]:
    """Read arrays of an ``.npz`` file.

    Parameters
    ----------
    path : Path
        The file.
    names : sequence of str
        Arrays that must be there.
    what : str
        What it is read as, for messages.
    optional : sequence of str
        Arrays that may be there.
    error : type of FddmError
        The error to raise.
    hint : str
        What to do about a damaged file.

    Raises
    ------
    FddmError
        If it is damaged, lacks an array, or an array is of Python objects or of another size
        than its head says.
    """
    with (
        reading(what, path, error=error, hint=hint),
        _unpacked(path, what, error, hint) as archive,
    ):
        there = {entry.filename: entry.file_size for entry in archive.infolist()}
        found = {}
        for name in (*names, *optional):
            if name in optional and name + _SUFFIX not in there:
                continue
            with archive.open(name + _SUFFIX) as member:
                _check_size(member, there[name + _SUFFIX])
            with archive.open(name + _SUFFIX) as member:
                found[name] = np.lib.format.read_array(member, allow_pickle=False)
        return found


def map_array(path: Path, what: str, *, error: type[FddmError] = DataError) -> npt.NDArray[Any]:
    """Open an ``.npy`` file as a memory map that cannot be written to.

    Raises
    ------
    FddmError
        If it is damaged, or of another size than its head says.
    """
    with open_file(path, what, error=error) as file:
        _check_size(file, path.stat().st_size)
    with reading(what, path, error=error, hint=_HINT):
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array


@contextmanager
def _unpacked(path: Path, what: str, error: type[FddmError], hint: str) -> Iterator[ZipFile]:
    """Open the archive that an ``.npz`` is; its errors name what to do about it."""
    try:
        with open_zip(path, what, error=error) as archive:
            yield archive
    except FddmError as fault:
        raise error(fault.message, hint=hint) from fault


def _check_size(file: BinaryIO | IO[bytes], size: int) -> None:
    """Refuse an array whose head says another size, in bytes, than the file has."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADS:
        raise ValueError(f"its format {version} is not known")
    shape, _, dtype = _HEADS[version](file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    said = file.tell() + math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or said != size:
        raise ValueError(f"its head says {said} bytes, but there are {size}")
