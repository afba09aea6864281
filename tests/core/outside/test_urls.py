"""What of a URL may be shown."""

from __future__ import annotations

import pytest

from napari_fddm.core.outside.urls import public_url, without_access


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://lab.org/a.zarr", "https://lab.org/a.zarr"),
        ("https://lab.org:81/b/a.zarr/?sv=1&sig=TOKEN", "https://lab.org:81/b/a.zarr/"),
        ("https://anna:TOKEN@lab.org/a.zarr#TOKEN", "https://lab.org/a.zarr"),
        ("https://lab.org?TOKEN", "https://lab.org"),
        ("S3://bucket/a@b.zarr?TOKEN", "S3://bucket/a@b.zarr"),
        ("https://[lab/a.zarr?TOKEN", "https://…"),
    ],
)
def test_only_host_and_path_are_shown(url: str, shown: str) -> None:
    assert public_url(url) == shown


def test_urls_within_a_text_lose_what_gives_access() -> None:
    said = "400, url=URL('https://anna:TOKEN@lab.org/a?sig=TOKEN'), <Store(http://x/y?TOKEN)>, 5?"
    shown = "400, url=URL('https://lab.org/a'), <Store(http://x/y>, 5?"
    assert without_access(said) == shown
