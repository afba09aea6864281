"""LZW data that lost bytes are noticed wherever that changes a value."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest

from napari_fddm.core.outside.lzw import is_cut_off


def _decoded(data: bytes) -> bytes | None:
    try:
        return bytes(imagecodecs.lzw_decode(data))
    except imagecodecs.ImcdError:
        return None


@pytest.mark.parametrize("levels", [2, 7, 60, 255])
def test_lost_bytes_that_change_values_are_noticed(levels: int) -> None:
    rng = np.random.default_rng(levels)
    wrong = 0
    for length in range(40, 2000, 37):
        values = rng.integers(0, levels, length, np.uint8).tobytes()
        data = imagecodecs.lzw_encode(values)
        assert not is_cut_off(data)
        for lost in (1, 2, 3):
            found = _decoded(data[:-lost])
            if found is not None and len(found) == length and found != values:
                wrong += 1
                assert is_cut_off(data[:-lost])
    assert wrong


def test_what_cannot_be_decoded_is_left_to_the_decoder() -> None:
    assert not is_cut_off(b"nothing of the kind")
