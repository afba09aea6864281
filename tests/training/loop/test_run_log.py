"""The log of a training outlasts a kill, and forgets what will come again."""

from __future__ import annotations

import pytest

from napari_fddm.training.loop import RunLog


def test_a_log_that_is_not_there_is_empty(tmp_path):
    assert RunLog(tmp_path / "log.jsonl").records() == []


def test_a_half_written_line_is_skipped(tmp_path):
    log = RunLog(tmp_path / "log.jsonl")
    log.append(step=1, loss=0.5, note="µm")
    with log.path.open("a", encoding="utf-8") as file:
        file.write('{"step": 2, "lo')
    assert log.records() == [{"step": 1, "loss": 0.5, "note": "µm"}]


@pytest.mark.parametrize("line", ["[1]", "{", "[" * 100_000, '{"step": "x"}', "\x00"])
def test_a_damaged_line_is_passed_over_and_said(tmp_path, caplog, line):
    log = RunLog(tmp_path / "log.jsonl")
    log.path.write_text(f'{{"step": 1, "loss": NaN}}\n{line}\n{{"step": 3}}\n')
    assert [r["step"] for r in log.records()] == [1, 3]
    assert "line 2" in caplog.text


def test_steps_beyond_the_checkpoint_are_forgotten(tmp_path):
    log = RunLog(tmp_path / "log.jsonl")
    log.append(about="no step of its own")
    for step in range(5):
        log.append(step=step)
    log.rewind(2)
    log.append(step=3)
    assert [r.get("step") for r in log.records()] == [None, 0, 1, 2, 3]
    assert [p.name for p in tmp_path.iterdir()] == ["log.jsonl"]
