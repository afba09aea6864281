"""Files of numpy: what their heads say is checked before it is allocated."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from napari_fddm.core.errors import ConfigError, DataError
from napari_fddm.core.outside.arrays import map_array, read_arrays


def head(shape, dtype="<f4"):
    """Return the bytes of an array without its values."""
    file = io.BytesIO()
    described = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, described)
    return file.getvalue()


def test_arrays_come_back(tmp_path):
    given = {
        "a": np.arange(12.0).reshape(3, 4),
        "b": np.array("text"),
        "c": np.zeros((0, 8), np.uint8),
    }
    np.savez_compressed(tmp_path / "x.npz", **given)
    found = read_arrays(tmp_path / "x.npz", ("a", "b"), "a test", optional=("c", "d"))
    assert found.keys() == given.keys()
    assert all(np.array_equal(found[k], given[k]) for k in given)
    np.save(tmp_path / "a.npy", given["a"])
    mapped = map_array(tmp_path / "a.npy", "a test")
    assert np.array_equal(mapped, given["a"])
    assert not mapped.flags.writeable


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (head((10**18,)), "head says"),
        (head((-1,)), "cannot be read"),
        (head((2,)) + b"\0" * 4, "head says"),
        (head((1,), "|O") + b"\0" * 8, "Python objects"),
        (b"\x93NUMPY\x09\x00", "format"),
        (b"something else", "magic"),
    ],
)
def test_a_damaged_array_is_refused(tmp_path, content, words):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", content)
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ConfigError, match=words) as caught:
        read_arrays(tmp_path / "x.npz", ("a",), "a test", error=ConfigError, hint="Make it anew.")
    assert caught.value.hint == "Make it anew."
    with pytest.raises(DataError, match=words):
        map_array(tmp_path / "a.npy", "a test")


def test_an_archive_that_is_damaged_or_lacks_an_array_is_refused(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, a=np.arange(100.0))
    with pytest.raises(DataError, match=r"b\.npy"):
        read_arrays(path, ("a", "b"), "a test")
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="CRC"):
        read_arrays(path, ("a",), "a test")
    path.write_bytes(data[:200])
    with pytest.raises(DataError, match="zip"):
        read_arrays(path, ("a",), "a test")
