"""A slide's fingerprint follows its content, not its name or place."""

from __future__ import annotations

import pytest

from napari_fddm.slides.identity import fingerprint_file, series_fingerprint

MIB = 1 << 20


@pytest.mark.parametrize("size", [0, 10, MIB, MIB + 1, 3 * MIB])
def test_a_copy_is_recognized_and_a_shorter_one_is_not(tmp_path, size):
    content = bytes(range(256)) * (size // 256 + 1)
    one, copy, cut = (tmp_path / name for name in ("a.svs", "b.tif", "c.svs"))
    one.write_bytes(content[:size])
    copy.write_bytes(content[:size])
    cut.write_bytes(content[: max(0, size - 1)])
    assert fingerprint_file(one) == fingerprint_file(copy)
    assert (fingerprint_file(one) == fingerprint_file(cut)) == (size == 0)


@pytest.mark.parametrize(
    ("place", "seen"), [(0, True), (MIB - 1, True), (3 * MIB - 1, True), (MIB + 5, False)]
)
def test_beginning_and_end_are_looked_at(tmp_path, place, seen):
    content = bytearray(3 * MIB)
    (tmp_path / "a").write_bytes(content)
    content[place] = 1
    (tmp_path / "b").write_bytes(content)
    differ = fingerprint_file(tmp_path / "a") != fingerprint_file(tmp_path / "b")
    assert differ == seen


def test_each_image_of_a_file_has_its_own_identity() -> None:
    of_file = "ab" * 32
    found = {series_fingerprint(of_file, series) for series in (None, 0, 1)}
    assert of_file in found
    assert len(found) == 3
