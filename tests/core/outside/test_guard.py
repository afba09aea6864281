"""Whatever goes wrong while something is read becomes one sentence."""

from __future__ import annotations

import errno
import os

import pytest

from napari_fddm.core.errors import DataError, FddmError, SlideError
from napari_fddm.core.outside.guard import LONGEST_REASON, reading, reason


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (ValueError("bad\n  value."), "cannot be read as a mask: bad value."),
        (KeyError("ome"), "'ome' is missing"),
        (RecursionError("maximum recursion"), "nested too deeply"),
        (MemoryError(), "more memory"),
        (OSError("broken data stream"), "cannot be read as a mask: broken data stream"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (ValueError("\x1b[2J"), r"\x1b[2J"),
    ],
)
def test_any_exception_becomes_one_error(fault: Exception, words: str):
    with pytest.raises(SlideError) as caught, reading("a mask", "a.png", error=SlideError):
        raise fault
    assert words in caught.value.message
    assert caught.value.message.startswith("a.png ")
    assert "\n" not in caught.value.message
    assert caught.value.__cause__ is fault


def test_errors_of_the_system_bring_their_own_way_out():
    with pytest.raises(DataError) as caught, reading("a mask", "a.png", hint="Save it again."):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    assert "cannot be read: Input/output error" in caught.value.message
    assert "disk" in caught.value.hint


def test_our_own_errors_pass_unchanged():
    ours = FddmError("no.", hint="yes.")
    with pytest.raises(FddmError) as caught, reading("a mask", "a.png"):
        raise ours
    assert caught.value is ours


def test_a_stop_by_the_user_is_no_error():
    with pytest.raises(KeyboardInterrupt), reading("a mask", "a.png"):
        raise KeyboardInterrupt


def test_long_messages_of_others_are_cut():
    assert len(reason(ValueError("x" * 10_000))) <= LONGEST_REASON + 2
