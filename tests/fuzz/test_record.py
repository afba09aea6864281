"""A run of many cases goes on where it was stopped, and says on which commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fuzz.cases import FAILED, OTHER, SAME, Result
from tests.fuzz.record import CommitError, Record, write_into

if TYPE_CHECKING:
    from pathlib import Path


def add(record: Record, kind: str, *verdicts: str) -> None:
    for case, verdict in enumerate(verdicts):
        record.add(Result(kind, case, verdict, judged=verdict != OTHER))


def test_results_are_kept_and_counted(tmp_path: Path):
    record = Record(tmp_path, "0", "abc")
    record.begin(["tiff", "log"])
    add(record, "tiff", SAME, OTHER)
    add(record, "log", FAILED)
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write('{"kind": "log", "ca')  # it was killed here
    record = Record(tmp_path, "0", "abc")
    record.begin(["tiff", "log"])
    assert [(r.kind, r.case) for r in record.results()] == [("tiff", 0), ("tiff", 1), ("log", 0)]
    text = record.summarize(60.0)
    assert "| tiff | 2 | 0 | 0 | 1 | 1 | 0 | 1 |" in text
    assert "| all | 3 | 0 | 0 | 1 | 1 | 1 | 1 |" in text
    assert "Commit abc" in text


def test_commits_are_not_mixed_unless_a_kind_is_run_again(tmp_path: Path):
    record = Record(tmp_path, "0", "abc")
    record.begin(["tiff", "log"])
    add(record, "tiff", SAME, FAILED)
    add(record, "log", SAME)
    record = Record(tmp_path, "0", "def")
    with pytest.raises(CommitError, match="commit abc, this is def"):
        record.begin(["tiff"])
    record.begin(["tiff"], again=True)
    assert [(r.kind, r.case) for r in record.results()] == [("log", 0)]
    assert (tmp_path / "failures.jsonl").read_text() == ""
    add(record, "tiff", SAME)
    assert "Run again after a fix: tiff at def." in record.summarize(1.0)
    with pytest.raises(CommitError, match="of the seed '0'"):
        Record(tmp_path, "1", "def")


def test_a_page_holds_one_summary(tmp_path: Path):
    page = tmp_path / "a.md"
    page.write_text("before\n<!-- fuzz summary -->\n<!-- end of fuzz summary -->\nafter\n")
    for text in ("| first |\n", "| second |\n"):
        write_into(page, text)
    assert page.read_text() == (
        "before\n<!-- fuzz summary -->\n\n| second |\n\n<!-- end of fuzz summary -->\nafter\n"
    )
