from __future__ import annotations

import pickle

import pytest

from napari_fddm.core import errors
from napari_fddm.core.errors import FddmError, SlideError
from napari_fddm.pipeline.store.eventlog import StoreBusyError

OURS = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and value.__module__ == errors.__name__ and value is not FddmError
]


@pytest.mark.parametrize("kind", [FddmError, *OURS, StoreBusyError])
def test_errors_cross_a_process_border_with_their_hint(kind: type[FddmError]):
    sent = kind("slide.svs is empty.", hint="Copy it again.")
    received = pickle.loads(pickle.dumps(sent))  # noqa: S301 - our own bytes
    assert type(received) is kind
    assert (received.message, received.hint) == ("slide.svs is empty.", "Copy it again.")
    assert str(received) == "slide.svs is empty. Copy it again."


@pytest.mark.parametrize("kind", OURS)
def test_every_error_of_ours_is_caught_as_one(kind: type[FddmError]):
    with pytest.raises(FddmError, match="broken"):
        raise kind("it is broken.")


def test_without_a_hint_the_message_stands_alone():
    assert str(SlideError("no pixels.")) == "no pixels."
