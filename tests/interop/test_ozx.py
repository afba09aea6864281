from __future__ import annotations

import zipfile
from itertools import pairwise

import numpy as np
import pytest

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import StoreError
from napari_fddm.core.geometry import MapGeometry, Window
from napari_fddm.interop import ome_zarr, validation
from napari_fddm.interop.ozx import check_ozx, read_root_attributes, unpacked, write_ozx

GEOMETRY = MapGeometry((600, 300), 16.0, 0.25)


@pytest.fixture
def packed(tmp_path):
    folder = tmp_path / "a.ome.zarr"
    image = ome_zarr.create_image(folder, GEOMETRY, name="x")
    group = ome_zarr.create_labels(image, "refined", GEOMETRY, OSTEOSARCOMA)
    labels = np.random.default_rng(0).integers(0, 8, GEOMETRY.shape).astype(np.uint8)
    ome_zarr.write_label_window(group, Window(0, 0, *GEOMETRY.shape), labels)
    write_ozx(folder, tmp_path / "a.ozx")
    return tmp_path / "a.ozx", labels


def test_one_file_is_as_valid_and_as_readable_as_the_folder(packed):
    path, labels = packed
    validation.validate(path)
    data = ome_zarr.read_labels(path, "refined")
    assert np.array_equal(data.labels, labels)
    assert (data.geometry, data.table) == (GEOMETRY, OSTEOSARCOMA)
    assert read_root_attributes(path)["ome"]["version"] == "0.5"
    with pytest.raises(StoreError, match="labels/none"):
        ome_zarr.read_labels(path, "none")


def test_the_archive_is_stored_and_tells_its_structure_first(packed):
    path, _ = packed
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
        offsets = [info.header_offset for info in archive.infolist()]
        assert archive.comment == b""
    metadata = [name for name in names if name.endswith("zarr.json")]
    assert names[0] == "zarr.json"
    assert names[: len(metadata)] == metadata
    assert len(names) > len(metadata)
    depths = [name.count("/") for name in metadata]
    assert all(a <= b for a, b in pairwise(depths))
    assert offsets == sorted(offsets)


def test_a_file_that_exists_is_not_overwritten(packed, tmp_path):
    path, _ = packed
    before = path.read_bytes()
    with pytest.raises(StoreError, match="cannot write"):
        write_ozx(tmp_path / "a.ome.zarr", path)
    assert path.read_bytes() == before


def test_a_full_disk_leaves_no_half_file(packed, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "write", full)
    with pytest.raises(StoreError, match="No space left"):
        write_ozx(tmp_path / "a.ome.zarr", tmp_path / "b.ozx")
    assert not (tmp_path / "b.ozx").exists()


def test_strangers_are_refused(tmp_path, packed):
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="not a zarr"):
        write_ozx(tmp_path / "folder", tmp_path / "b.ozx")
    assert not (tmp_path / "b.ozx").exists()
    for name, content in (
        ("text.ozx", b"hello"),
        ("empty.ozx", b""),
        ("cut.ozx", packed[0].read_bytes()[:-200]),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(StoreError, match=name) as caught:
            validation.validate(tmp_path / name)
        assert caught.value.hint
    with zipfile.ZipFile(tmp_path / "other.ozx", "w") as archive:
        archive.writestr("zarr.json", '{"zarr_format": 3}')
    with pytest.raises(StoreError, match="other"):
        read_root_attributes(tmp_path / "other.ozx")


def test_a_file_that_was_not_written_as_it_should_be_is_noticed(packed, tmp_path):
    check_ozx(packed[0], tmp_path / "a.ome.zarr")
    chunk = next(p for p in (tmp_path / "a.ome.zarr").rglob("c/0/0") if p.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"x")
    with pytest.raises(StoreError, match="differs"):
        check_ozx(packed[0], tmp_path / "a.ome.zarr")


def test_every_kind_of_damage_to_an_archive_is_an_error(packed, tmp_path):
    """Flip bits all over the file: what is read is right, or it is refused."""
    data = packed[0].read_bytes()
    right = ome_zarr.read_labels(packed[0], "refined").labels
    path = tmp_path / "damaged.ozx"
    places = [*range(0, len(data), max(1, len(data) // 150)), *range(len(data) - 22, len(data))]
    refused = 0
    for place in places:
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        try:
            assert np.array_equal(ome_zarr.read_labels(path, "refined").labels, right)
            with unpacked(path) as folder:
                ome_zarr.read_labels(folder, "refined")
        except StoreError:
            refused += 1
    assert refused > len(places) // 3
