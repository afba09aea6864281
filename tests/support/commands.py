"""Calling the command line as a user does."""

from __future__ import annotations

from collections.abc import Callable

Call = Callable[..., tuple[int, str, str]]

SLIDE = "synthetic:1500x1800?seed=3&mpp=0.5"


def assert_one_line(result: tuple[int, str, str], *words: str) -> None:
    """Make sure that a command was refused in one line that holds these words."""
    code, out, err = result
    assert code == 2
    assert out == ""
    assert err.endswith("\n")
    assert len(err.splitlines()) == 1
    assert err.startswith("napari-fddm: ")
    for word in words:
        assert word in err
