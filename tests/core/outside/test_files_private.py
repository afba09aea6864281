"""Files that belong to the user alone."""

from __future__ import annotations

import pytest

from napari_fddm.core.errors import DataError
from napari_fddm.core.outside.files import is_private_folder, read_private


def test_a_file_is_read_unless_others_may_write_it_or_it_is_too_large(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    path.chmod(0o600)
    assert read_private(path, "notes") == b"12345"
    with pytest.raises(DataError, match="more than"):
        read_private(path, "notes", most=4)
    path.chmod(0o620)
    with pytest.raises(DataError, match="others"):
        read_private(path, "notes")
    with pytest.raises(DataError, match="cannot be read"):
        read_private(tmp_path / "none", "notes")


def test_a_folder_is_private_if_only_the_user_may_write_to_it_and_can_be_made_so(tmp_path):
    folder = tmp_path / "f"
    folder.mkdir()
    folder.chmod(0o770)
    (tmp_path / "link").symlink_to(folder)
    assert not is_private_folder(folder)
    assert not is_private_folder(tmp_path / "link", mend=True)
    assert not is_private_folder(tmp_path / "none", mend=True)
    assert is_private_folder(folder, mend=True)
    assert folder.stat().st_mode & 0o777 == 0o700
