from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from psygnal import Signal

from napari_fddm.plugin.document import Session


class Sender:
    sent = Signal()


@pytest.fixture
def session():
    return Session(SimpleNamespace(layers=[]), SimpleNamespace())


def test_what_was_registered_last_is_closed_first_and_strokes_are_written_at_the_end(session):
    order = []
    session.analyses[Path("a")] = SimpleNamespace(close=lambda: order.append("strokes"))
    session.on_close(lambda: order.append("first"))
    session.on_close(lambda: order.append("second"))
    session.close()
    assert order == ["second", "first", "strokes"]
    session.close()
    assert len(order) == 3
    assert session.analyses == {}


def test_nothing_arrives_while_controllers_are_closed(session):
    sender, arrived = Sender(), []
    session.connections.add(sender.sent, lambda: arrived.append(1))
    session.on_close(sender.sent.emit)
    session.close()
    assert arrived == []


def test_a_controller_that_fails_keeps_no_other_from_closing_and_no_stroke_from_the_disk(session):
    order = []
    session.analyses[Path("a")] = SimpleNamespace(close=lambda: order.append("strokes"))
    session.on_close(lambda: order.append("first"))
    session.on_close(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        session.close()
    assert order == ["first", "strokes"]


def test_what_could_not_be_saved_is_told_although_connections_are_gone(session):
    told = []
    session.unsaved.connect(told.append)
    session.analyses[Path("a")] = SimpleNamespace(close=lambda: "NOT SAVED")
    session.analyses[Path("b")] = SimpleNamespace(close=lambda: "")
    session.close()
    assert told == ["NOT SAVED"]
