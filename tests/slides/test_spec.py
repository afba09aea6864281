"""The text that opens a slide."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_fddm.core.errors import MppError, SlideError
from napari_fddm.slides.spec import SlideSpec, parse_spec, shown_place

URL = "https://lab.org/a.zarr?sig=x%2By&se=1"


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("/data/a.svs", SlideSpec(Path("/data/a.svs"))),
        ("/data/a.svs?mpp=0.25", SlideSpec(Path("/data/a.svs"), 0.25)),
        ("/data/a.svs?mpp=0.25&series=2", SlideSpec(Path("/data/a.svs"), 0.25, 2)),
        ("/data/a.svs?series=2", SlideSpec(Path("/data/a.svs"), None, 2)),
        (URL, SlideSpec(URL)),
        (f"{URL}&series=1", SlideSpec(URL, None, 1)),
        ("s3://lab/a.zarr?mpp=0.5&series=0", SlideSpec("s3://lab/a.zarr", 0.5, 0)),
    ],
)
def test_what_stands_at_the_end_is_ours(text: str, spec: SlideSpec) -> None:
    assert parse_spec(text) == spec
    assert parse_spec(str(spec)) == spec
    assert str(spec) == text


def test_a_file_of_such_a_name_is_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tif?series=1"
    path.touch()
    assert parse_spec(path) == SlideSpec(path)
    assert parse_spec(f"{path}?series=3") == SlideSpec(path, None, 3)


def test_nonsense_is_refused() -> None:
    with pytest.raises(MppError, match="'1e' is no pixel size"):
        parse_spec("a.svs?mpp=1e")
    for text in ("-1", "1.5", "1e3"):
        with pytest.raises(SlideError, match="no number of a series"):
            parse_spec(f"a.svs?series={text}")


def test_what_is_shown_gives_no_access() -> None:
    assert shown_place(f"{URL}&series=1") == "https://lab.org/a.zarr"
    assert shown_place("/data/a.svs?series=1") == "/data/a.svs?series=1"
    assert shown_place("/data/pr\udce4parat.svs") == "/data/pr\\xe4parat.svs"
