"""Who holds a lock is said to the second who wants it; stale words block nobody."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from napari_fddm.pipeline.store.eventlog import StoreBusyError, acquire_lock
from napari_fddm.pipeline.store.lock_holders import describe_holder, note_holder

if TYPE_CHECKING:
    from pathlib import Path


def test_the_second_is_told_who_has_it(tmp_path: Path) -> None:
    lock = acquire_lock(tmp_path / "run.lock", tmp_path)
    with pytest.raises(StoreBusyError, match="another program") as caught:
        acquire_lock(tmp_path / "run.lock", tmp_path)
    assert f"process {os.getpid()} on {socket.gethostname()}, since 20" in caught.value.message
    lock.release()
    acquire_lock(tmp_path / "run.lock", tmp_path).release()


@pytest.mark.parametrize("text", ["", "[]", '{"host": "a"}', '{"pid": []}', "x" * 10_000])
def test_damaged_words_say_nothing_and_block_nobody(tmp_path: Path, text: str) -> None:
    note_holder(tmp_path / "run.lock")
    (tmp_path / "run.holder.lock").write_text(text)
    assert describe_holder(tmp_path / "run.lock") == ""
    acquire_lock(tmp_path / "run.lock", tmp_path).release()


def test_a_name_with_escapes_is_shown_as_text(tmp_path: Path) -> None:
    (tmp_path / "run.holder.lock").write_text(
        '{"host": "\\u001b[2J", "pid": 7, "since": "2026-01-02T03:04:05+00:00"}'
    )
    assert r"process 7 on \x1b[2J" in describe_holder(tmp_path / "run.lock")
