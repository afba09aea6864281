"""The audit says what is not known, and calls nothing sound that no server knows."""

from __future__ import annotations

from email.message import Message

import pytest
from scripts.audit import NOT_AUDITED, UNKNOWN, judge, license_of, reaches_users


def metadata(*fields: tuple[str, str]) -> Message:
    found = Message()
    for name, value in fields:
        found[name] = value
    return found


@pytest.mark.parametrize(
    ("fields", "stated"),
    [
        ([("License-Expression", "MIT"), ("License", "x")], "MIT"),
        ([("License", "BSD")], "BSD"),
        ([("License", "UNKNOWN"), ("Classifier", "License :: OSI Approved :: ISC License")],
         "ISC License"),
        ([("License", "Copyright (c) " + "all of it\n" * 20)], "Copyright (c) all of it …"),
        ([("Classifier", "Topic :: Software"), ("Classifier", "License :: OSI Approved")], UNKNOWN),
        ([], UNKNOWN),
    ],
)  # fmt: skip
def test_a_license_is_taken_from_where_it_is_stated(fields: list[tuple[str, str]], stated: str):
    assert license_of(metadata(*fields)) == stated


@pytest.mark.parametrize(
    ("text", "reaches"),
    [
        ("GPL-3.0-only", True),
        ("AGPL-3.0", True),
        ("GNU General Public License v3 (GPLv3)", True),
        ("LGPL-2.1-only AND MIT", False),
        ("LGPL-3.0-only OR GPL-2.0-only", False),
        ("GPL-2.0 OR GPL-3.0", True),
        ("MIT", False),
    ],
)
def test_licenses_that_extend_to_users_are_found(text: str, *, reaches: bool):
    assert reaches_users(text) is reaches


SKIPPED = {"name": "b", "skip_reason": "not found"}


def sound(name: str, *ids: str) -> dict[str, object]:
    return {"name": name, "version": "1", "vulns": [{"id": i} for i in ids]}


def test_without_a_server_nothing_was_audited(capsys: pytest.CaptureFixture[str]):
    assert judge([None, None]) == 0
    assert judge([{"dependencies": [SKIPPED]}, None]) == 0
    assert capsys.readouterr().out == f"{NOT_AUDITED}\n{NOT_AUDITED}\n"


def test_what_no_server_knows_is_not_called_sound(capsys: pytest.CaptureFixture[str]):
    assert judge([{"dependencies": [sound("a"), SKIPPED]}, None]) == 0
    out = capsys.readouterr().out
    assert "1 packages were audited" in out
    assert "not audited, as no server knows them: b" in out


def test_a_vulnerability_that_one_server_knows_fails(capsys: pytest.CaptureFixture[str]):
    answers = [{"dependencies": [sound("a")]}, {"dependencies": [sound("a", "CVE-1", "CVE-2")]}]
    assert judge(answers) == 1
    assert "VULNERABLE: a 1: CVE-1, CVE-2" in capsys.readouterr().out
