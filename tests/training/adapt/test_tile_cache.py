"""The cache of features: whole or empty, never wrong, never too large."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.training.adapt.tile_cache import (
    HeadInputs,
    TileCache,
    cache_folder,
    cache_key,
)

SLIDE = {"fingerprint": "abc", "mpp": 0.5}
MODEL = {
    "analysis_mpp": 1.0,
    "files": {"backbone.safetensors": "1", "heads.safetensors": "2", "refiner.safetensors": "3"},
}


def features(seed: int) -> HeadInputs:
    rng = np.random.default_rng(seed)
    pooled, cells = rng.normal(size=24), rng.normal(size=(16, 8, 8))
    return HeadInputs.of(pooled.astype(np.float32), cells.astype(np.float32))


@pytest.fixture
def cache(tmp_path):
    cache = TileCache(tmp_path / "features", "key")
    for number in range(6):
        cache.put((number, 2 * number), features(number))
    cache.write()
    return cache


def again(cache: TileCache, key: str = "key") -> TileCache:
    return TileCache(cache.path.parent, key)


def test_what_was_written_is_read(cache):
    read = again(cache)
    assert len(read) == 6
    for number in range(6):
        index = (number, 2 * number)
        assert index in read
        assert np.array_equal(read[index].pooled, cache[index].pooled)
        assert np.array_equal(read[index].cells, cache[index].cells)
    assert read[0, 0].cells.shape == (8, 8, 16)


def test_values_beyond_half_precision_stay_finite():
    large = HeadInputs.of(np.full(4, 1e9, np.float32), np.full((4, 8, 8), -1e9, np.float32))
    assert np.isfinite(large.pooled).all()
    assert np.isfinite(large.cells).all()


@pytest.mark.parametrize("where", [0, 300, -300, -1])
def test_a_damaged_file_is_empty_and_can_be_written_again(cache, where):
    data = bytearray(cache.path.read_bytes())
    data[where] ^= 0xFF
    cache.path.write_bytes(data)
    broken = again(cache)
    for index in [(n, 2 * n) for n in range(6)]:  # either not there or exactly what it was
        if index in broken:
            assert np.array_equal(broken[index].cells, cache[index].cells)
    broken.put((0, 0), features(0))
    broken.write()
    assert (0, 0) in again(cache)


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x03\x04"])
def test_a_file_of_something_else_is_empty(cache, data):
    cache.path.write_bytes(data)
    assert len(again(cache)) == 0


def test_a_truncated_file_is_empty(cache):
    cache.path.write_bytes(cache.path.read_bytes()[:-500])
    assert len(again(cache)) == 0


def test_a_file_under_another_name_is_empty(cache):
    cache.path.rename(cache.path.with_name("other.npz"))
    assert len(again(cache, "other")) == 0


def test_no_more_than_the_bound_is_kept_and_what_was_asked_for_last_stays(cache):
    size = features(0).nbytes
    small = TileCache(cache.path.parent, "key", max_bytes=3 * size)
    assert np.array_equal(small[0, 0].pooled, features(0).pooled)
    small.write()
    read = again(cache)
    assert len(read) == 3
    assert (0, 0) in read
    assert (1, 2) not in read


def test_the_key_follows_slide_and_weights_but_not_the_heads():
    def changed(**files):
        return {**MODEL, "files": MODEL["files"] | files}

    key = cache_key(SLIDE, MODEL)
    assert key == cache_key(SLIDE, changed(**{"heads.safetensors": "9"}))
    assert key == cache_key(SLIDE, changed(**{"refiner.safetensors": "9"}))
    assert key != cache_key(SLIDE, changed(**{"backbone.safetensors": "9"}))
    assert key != cache_key(SLIDE, changed(**{"adapter.safetensors": "9"}))
    assert key != cache_key(SLIDE, {**MODEL, "backbone": {"tensors_sha256": "9"}})
    assert key != cache_key({**SLIDE, "fingerprint": "x"}, MODEL)
    assert key != cache_key({**SLIDE, "mpp": 0.25}, MODEL)


def test_it_lies_beside_the_store(tmp_path):
    assert cache_folder(tmp_path / "a.svs.fddm.ome.zarr") == tmp_path / "a.svs.fddm.features"
