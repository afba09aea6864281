from __future__ import annotations

import threading

import pytest
from qtpy.QtCore import QObject

from napari_fddm.core.errors import SlideError
from napari_fddm.plugin.plumbing import Background

pytestmark = pytest.mark.gui


@pytest.fixture
def background(qtbot):
    owner = QObject()
    background = Background("test", owner)
    yield background
    background.close()


def refuse():
    raise SlideError("no.")


def test_jobs_run_in_order_in_a_thread_and_are_answered_on_the_main_thread(background, qtbot):
    answers, places = [], []
    for number in range(5):
        background.do(
            lambda n=number: (n, threading.current_thread().name),
            lambda found: (answers.append(found), places.append(threading.current_thread())),
        )
    qtbot.waitUntil(lambda: len(answers) == 5)
    assert [n for n, _ in answers] == list(range(5))
    assert {name for _, name in answers} == {"fddm-test"}
    assert set(places) == {threading.main_thread()}


def test_an_error_is_told_to_who_asked_or_else_to_everybody(background, qtbot):
    told, failed = [], []
    background.failed.connect(failed.append)
    background.do(refuse, told.append, told.append)
    background.do(refuse, told.append)
    qtbot.waitUntil(lambda: bool(failed))
    assert [str(error) for error in told] == ["no."]


def test_a_bug_does_not_end_the_thread(background, qtbot, caplog):
    answers = []
    background.do(lambda: 1 / 0, answers.append)
    background.do(lambda: 7, answers.append)
    qtbot.waitUntil(lambda: answers == [7])
    assert "ZeroDivisionError" in caplog.text


def test_after_closing_nothing_is_answered_and_no_thread_is_left(background, qtbot):
    answers, go = [], threading.Event()
    background.do(go.wait, answers.append)
    background.do(lambda: 2, answers.append)
    go.set()
    background.close()
    background.do(lambda: 3, answers.append)
    qtbot.wait(50)
    assert answers == []
    assert "fddm-test" not in [t.name for t in threading.enumerate()]
