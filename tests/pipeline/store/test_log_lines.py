"""The chain of the event log: whatever is changed in it is found, whatever it says."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fddm.core.errors import StoreError
from napari_fddm.pipeline.store import log_lines
from napari_fddm.pipeline.store.eventlog import EventLog
from napari_fddm.pipeline.store.log_lines import LogEnd, LogMismatchError, iter_lines

TIME = "2026-11-30T23:04:01.711+00:00"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


def of_earlier_version(texts):
    """Lines without checksums, as versions before this one wrote them."""
    records = [
        {"seq": number, "time": TIME, "kind": "note", "text": text}
        for number, text in enumerate(texts, 1)
    ]
    return "".join(f"{json.dumps(record)}\n" for record in records).encode()


def chained(texts, end=None):
    end, lines = end or LogEnd(), b""
    for text in texts:
        line, end = end.extended({"seq": 0, "time": TIME, "kind": "note", "text": text})
        lines += line
    return lines, end


def texts(path):
    return [record["text"] for record, _ in iter_lines(path)]


def test_a_log_says_the_version_of_its_format_once_and_readers_do_not_see_the_chain(path):
    with EventLog(path) as log:
        log.append("note", text="a")
        log.append("note", text="b")
    first, second = (json.loads(line) for line in path.read_bytes().splitlines())
    assert first["log_version"] == log_lines.VERSION
    assert "log_version" not in second
    assert len({first["chain"], second["chain"]}) == 2
    assert [sorted(record) for record, _ in iter_lines(path)] == [
        ["kind", "seq", "text", "time"]
    ] * 2


def test_a_log_of_an_earlier_version_goes_on_and_is_sealed_by_the_first_new_record(path):
    path.write_bytes(of_earlier_version("ab"))
    with EventLog(path) as log:
        log.append("note", text="c")
        log.append("note", text="d")
    assert texts(path) == list("abcd")
    path.write_bytes(path.read_bytes().replace(b'"a"', b'"x"'))
    with pytest.raises(LogMismatchError, match="line 3"):
        texts(path)


@given(data=st.data())
def test_any_flipped_bit_of_a_line_that_is_followed_by_another_is_found(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    if data.draw(st.booleans(), "continued"):
        path.write_bytes(of_earlier_version("ab"))
    with EventLog(path) as log:
        for text in "cd":
            log.append("note", text=text)
    content = bytearray(path.read_bytes())
    last = content.rindex(b"\n", 0, len(content) - 1)
    content[data.draw(st.integers(0, last))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    with pytest.raises(LogMismatchError):
        list(iter_lines(path))


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [lines[0], lines[2]],
        lambda lines: [lines[1], lines[0], lines[2]],
        lambda lines: [lines[0], lines[1], lines[1], lines[2]],
        lambda lines: [lines[1], lines[2]],
        lambda lines: [*lines, of_earlier_version("abcd").splitlines(keepends=True)[3]],
    ],
    ids=["lost", "swapped", "twice", "first lost", "one without a checksum added"],
)
def test_lines_that_do_not_follow_each_other_are_found(path, change):
    path.write_bytes(b"".join(change(chained("abc")[0].splitlines(keepends=True))))
    with pytest.raises(LogMismatchError, match="line"):
        texts(path)


def test_a_line_of_another_log_does_not_fit(path):
    (mine, _), (other, _) = chained("ab"), chained("xb")
    path.write_bytes(mine.splitlines(keepends=True)[0] + other.splitlines(keepends=True)[1])
    with pytest.raises(LogMismatchError, match="line 2"):
        texts(path)


def test_a_log_of_a_newer_version_is_refused_as_such(path, monkeypatch):
    monkeypatch.setattr(log_lines, "VERSION", 3)
    path.write_bytes(chained("a")[0])
    monkeypatch.undo()
    with pytest.raises(StoreError, match="newer") as caught:
        texts(path)
    assert not isinstance(caught.value, LogMismatchError)


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"seq":1,"time":"%b","kind":"note","n":NaN}' % TIME.encode(),
        b'{"seq":true,"time":"%b","kind":"note"}' % TIME.encode(),
        b'{"seq":1e999,"time":"%b","kind":"note"}' % TIME.encode(),
        b'{"seq":1,"time":"%b","kind":"note","chain":7}' % TIME.encode(),
        b'"text"',
        b"\xff\xfe\x00",
    ],
    ids=["nested", "NaN", "true for 1", "infinite", "no checksum", "no object", "no UTF-8"],
)
def test_a_line_that_is_no_record_is_refused_by_its_number(path, line):
    path.write_bytes(line + b"\n" + of_earlier_version("ab"))
    with pytest.raises(LogMismatchError, match="line 1"):
        texts(path)


def test_an_endless_line_is_neither_read_nor_written(path, monkeypatch):
    monkeypatch.setattr(log_lines, "MOST_LINE", 1000)
    path.write_bytes(b"x" * 5000 + b"\n")
    with pytest.raises(LogMismatchError, match="too long"):
        texts(path)
    path.unlink()
    with EventLog(path) as log, pytest.raises(StoreError, match="too large"):
        log.append("note", text="x" * 1000)
    assert texts(path) == []


def test_a_pipe_is_not_opened(path):
    os.mkfifo(path)
    with pytest.raises(StoreError, match="pipe"):
        texts(path)


def test_the_error_shows_control_characters_and_the_ways_out(tmp_path):
    folder = tmp_path / "a\x1b[2Jb" / "fddm"
    folder.mkdir(parents=True)
    (folder / "events.jsonl").write_bytes(b"x\n")
    with pytest.raises(LogMismatchError) as caught:
        texts(folder / "events.jsonl")
    assert "\x1b" not in str(caught.value)
    for way in ("backup", "--from-map", "--without-corrections"):
        assert way in caught.value.hint
