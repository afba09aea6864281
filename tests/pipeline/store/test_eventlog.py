from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core.edits import Edit, difference
from napari_fddm.core.errors import StoreError
from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.store.eventlog import EventLog


def an_edit(value: int = 3) -> Edit:
    old = np.zeros((6, 6), np.uint8)
    new = old.copy()
    new[1:3, 2:5] = value
    edit = difference(old, new, Window(0, 0, 6, 6))
    assert edit is not None
    return edit


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


def notes(path) -> list[object]:
    return [record["text"] for record in EventLog(path).records("note")]


def test_records_are_numbered_and_timed(path):
    with EventLog(path) as log:
        first = log.append("note", text="a")
        log.append("run", stage="patch")
    with EventLog(path) as log:
        third = log.append("note", text="b")
        assert log.last_seq == 3
    assert [first["seq"], third["seq"]] == [1, 3]
    assert first["time"].endswith("+00:00")
    assert notes(path) == ["a", "b"]
    assert EventLog(path).last_seq == 3


def test_an_empty_or_missing_log_has_no_records(path):
    assert list(EventLog(path).records()) == []
    path.touch()
    assert EventLog(path).last_seq == 0


def test_edits_come_back_by_layer(path):
    with EventLog(path) as log:
        log.append("edit", layer="corrected", edit=an_edit(3).to_record())
        log.append("edit", layer="reader-b", edit=an_edit(4).to_record())
        log.append("note", text="between")
        log.append("edit", layer="corrected", edit=an_edit(5).to_record())
    assert list(EventLog(path).edits("corrected")) == [an_edit(3), an_edit(5)]
    assert list(EventLog(path).edits("reader-b")) == [an_edit(4)]


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(1, 200), junk=st.binary(max_size=30))
def test_any_torn_end_is_skipped_and_then_removed(tmp_path_factory, cut, junk):
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    with EventLog(path) as log:
        log.append("note", text="a")
        log.append("note", text="b")
    whole = path.read_bytes()
    second = whole.index(b"\n") + 1
    kept = whole[: max(second, len(whole) - cut)]
    path.write_bytes(kept + junk.replace(b"\n", b" "))
    survivors = notes(path)
    assert survivors[0] == "a"
    with EventLog(path) as log:
        record = log.append("note", text="after the crash")
    assert record["seq"] == len(survivors) + 1
    assert notes(path) == [*survivors, "after the crash"]


def test_zeros_after_a_power_cut_are_a_torn_line(path):
    with EventLog(path) as log:
        log.append("note", text="a")
    with path.open("ab") as file:
        file.write(bytes(5000))
    with EventLog(path) as log:
        log.append("note", text="b")
        log.append("note", text="c")
    assert notes(path) == ["a", "b", "c"]
    assert b"\0" not in path.read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: [lines[0], b"{broken\n", lines[2]],
        lambda lines: [lines[0], lines[2]],
        lambda lines: [lines[0], lines[0], lines[2]],
        lambda lines: [lines[0], b"\n", lines[1], lines[2]],
        lambda lines: [lines[0], b"[1]\n", lines[2]],
        lambda lines: [lines[0], lines[1].replace(b'"kind"', b'"kinda"'), lines[2]],
        lambda lines: [lines[0], b"\xff\xfe\n", lines[2]],
    ],
)
def test_damage_in_the_middle_is_refused_by_line(path, damage):
    with EventLog(path) as log:
        for text in "abc":
            log.append("note", text=text)
    lines = damage(path.read_bytes().splitlines(keepends=True))
    path.write_bytes(b"".join([*lines, b'{"seq":99,"kind":"note"}\n']))
    before = path.read_bytes()
    with pytest.raises(StoreError, match="line 2"):
        list(EventLog(path).records())
    with pytest.raises(StoreError, match="line 2"):
        EventLog(path).append("note", text="d")
    assert path.read_bytes() == before
    path.write_bytes(b"")
    with EventLog(path) as log:  # the failed append gave its lock back
        log.append("note", text="d")


def test_a_damaged_edit_names_its_record(path):
    with EventLog(path) as log:
        log.append("edit", layer="corrected", edit=an_edit().to_record() | {"starts": "??"})
    with pytest.raises(StoreError, match="record 1"):
        list(EventLog(path).edits("corrected"))


def test_two_writers_refuse_each_other(path):
    with EventLog(path) as log:
        log.append("note", text="a")
        other = EventLog(path)
        with pytest.raises(StoreError, match="another program") as caught:
            other.append("note", text="b")
        assert caught.value.hint
        assert notes(path) == ["a"]  # reading needs no lock
        log.append("note", text="c")
        with pytest.raises(StoreError, match="another program"):
            other.flush()
        assert [r["seq"] for r in other.records()] == [1, 2, 3]
    other.close()  # nothing is lost: what was refused is written as soon as it can be
    assert other.pending == 0
    assert notes(path) == ["a", "c", "b"]


def test_a_killed_writer_leaves_no_lock_behind(path):
    code = (
        "import os, sys; from pathlib import Path\n"
        "from napari_fddm.pipeline.store.eventlog import EventLog\n"
        "log = EventLog(Path(sys.argv[1])); log.append('note', text='a'); os._exit(9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == 9
    with EventLog(path) as log:
        log.append("note", text="b")
    assert notes(path) == ["a", "b"]


def test_a_full_disk_keeps_the_record_and_the_next_append_writes_both(path, monkeypatch):
    log = EventLog(path)
    log.append("note", text="a")
    real = os.fsync

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for text in "bc":
        with pytest.raises(StoreError, match="No space left") as caught:
            log.append("note", text=text)
        assert "disk is full" in caught.value.hint
    assert log.pending == 2
    assert [r["text"] for r in log.records("note")][-2:] == ["b", "c"]
    monkeypatch.setattr(os, "fsync", real)
    log.append("note", text="d")
    assert log.pending == 0
    log.close()
    assert notes(path) == ["a", "b", "c", "d"]
    assert [json.loads(line)["seq"] for line in path.read_text().splitlines()] == [1, 2, 3, 4]


def test_closing_tells_that_records_are_lost_but_gives_the_lock_back(path, monkeypatch):
    log = EventLog(path)
    log.acquire()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.EROFS, "ro")))
        with pytest.raises(StoreError):
            log.append("note", text="a")
        with pytest.raises(StoreError):
            log.close()
    with EventLog(path) as other:
        other.append("note", text="b")


def test_a_missing_folder_is_a_clear_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as caught:
        EventLog(tmp_path / "file" / "events.jsonl").append("note")
    assert caught.value.hint


@pytest.mark.parametrize(
    "fields",
    [
        {"seq": 4},
        {"time": "now"},
        {"chain": "0"},
        {"text": object()},
        {"x": float("nan")},
        {"reader": 1},
    ],
)
def test_impossible_fields_are_refused_and_not_kept(path, fields):
    with EventLog(path) as log:
        with pytest.raises(StoreError):
            log.append("note", **fields)
        assert log.pending == 0
        assert log.append("note", text="fine")["seq"] == 1
