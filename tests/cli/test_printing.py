"""Nothing that a command prints steers the terminal, and nothing stops it from printing."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING

import pytest

from napari_fddm.cli import run as run_module
from napari_fddm.cli.printing import VisibleFormatter, guard_terminal, say, say_json

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.commands import Call

HOSTILE = "\x1b[2J\x9b1m\u202e\udce4.tif"
SHOWN = r"\x1b[2J\x9b1m\u202e\xe4.tif"


def test_control_characters_and_bytes_that_are_not_utf8_are_printed_as_escapes(capsys):
    say(f"{HOSTILE}\n\tnäme 骨肉腫")
    assert capsys.readouterr().out == f"{SHOWN}\n\tnäme 骨肉腫\n"


def test_json_holds_every_character_and_prints_none_that_is_obeyed(capsys):
    say_json({"name": HOSTILE, "other": "\x7fä"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"name": HOSTILE, "other": "\x7fä"}
    assert "ä" in out
    assert not any(c in out for c in "\x1b\x9b\u202e\udce4\x7f")


def test_warnings_and_log_records_are_printed_likewise(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(logging, "lastResort", logging.StreamHandler())
    guard_terminal()
    guard_terminal()
    assert SHOWN in warnings.formatwarning(HOSTILE, UserWarning, "a.py", 1)
    record = logging.LogRecord("a", logging.ERROR, "a.py", 1, "%s is gone", (HOSTILE,), None)
    assert VisibleFormatter().format(record) == f"{SHOWN} is gone"
    assert logging.lastResort is not None
    assert isinstance(logging.lastResort.formatter, VisibleFormatter)


def test_a_traceback_is_printed_likewise(capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    guard_terminal()
    sys.excepthook(ValueError, ValueError(HOSTILE), None)
    assert capsys.readouterr().err == f"ValueError: {SHOWN}\n"


def test_an_output_that_is_not_utf8_gets_escapes(monkeypatch: pytest.MonkeyPatch):
    written = io.BytesIO()
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    guard_terminal()
    sys.stdout.write("4 µm\n")
    sys.stdout.flush()
    assert written.getvalue() == b"4 \\xb5m\n"


@pytest.mark.parametrize("arguments", [("info", HOSTILE), (HOSTILE,), ("run", "--stage", HOSTILE)])
def test_errors_about_what_the_user_typed_are_one_line_without_escapes(
    call: Call, arguments: tuple[str, ...]
):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert not any(c in err for c in "\x1b\x9b\u202e")


def test_a_report_with_such_a_name_is_written(tmp_path: Path):
    run_module.write_report({"name": HOSTILE}, tmp_path / "report.json")
    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"name": HOSTILE}


def test_a_terminal_that_lacks_characters_gets_escapes_for_them():
    done = subprocess.run(
        [sys.executable, "-m", "napari_fddm", "info", "骨-ä.tif"],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONIOENCODING": "cp1252"},
    )
    assert done.returncode == 2
    assert b"\\u9aa8-\xe4.tif" in done.stderr
    assert b"Traceback" not in done.stderr
