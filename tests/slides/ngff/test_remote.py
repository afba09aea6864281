"""OME-Zarr behind URLs; the servers are threads of this process."""

from __future__ import annotations

import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import fsspec
import numpy as np
import pytest

from napari_fddm.core.errors import SlideError
from napari_fddm.core.geometry import Mpp, Region
from napari_fddm.plugin.layers.slides import slide_info
from napari_fddm.slides import open_slide
from napari_fddm.slides.ngff import remote
from napari_fddm.slides.opening import slide_spec
from napari_fddm.slides.spec import local_place
from tests.slides.ngff.test_omezarr import IMAGE, planar, write
from tests.support.slides import binned, write_tiff

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_KEYS = b"<?xml version='1.0'?><ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>"


class Files(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, lists no bucket, refuses what is secret, and counts."""

    asked: list[str]

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        needed = self.server.needed  # type: ignore[attr-defined]
        given = f"{self.path} {self.headers.get('Authorization')}"
        if "secret" in self.path or needed not in given:
            self.send_error(403)
        elif "list-type" in self.path:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(NO_KEYS)
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    levels = [planar(IMAGE), planar(binned(IMAGE, 2))]
    for version in ("0.4", "0.5"):
        write(folder / f"v{version}.ome.zarr", levels, "cyx", version=version)
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[http.server.ThreadingHTTPServer]:
    serving = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Files, directory=str(folder))
    )
    serving.asked, serving.needed = [], ""  # type: ignore[attr-defined]
    thread = threading.Thread(target=serving.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield serving
    serving.shutdown()
    serving.server_close()
    thread.join()


def url_of(server: http.server.ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def in_memory(folder: Path) -> str:
    files = fsspec.filesystem("memory")
    if not files.exists("/lab/a slide.zarr"):
        files.put(str(folder / "v0.5.ome.zarr"), "/lab/a slide.zarr", recursive=True)
    return "memory://lab/a slide.zarr"


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_http_gives_what_the_folder_gives(
    folder: Path, server: http.server.ThreadingHTTPServer, version: str
) -> None:
    url = f"{url_of(server)}/v{version}.ome.zarr"
    with open_slide(url) as there, open_slide(folder / f"v{version}.ome.zarr") as here:
        assert (there.backend, there.name, there.mpp) == (here.backend, here.name, here.mpp)
        assert there.levels == here.levels
        assert there.fingerprint == here.fingerprint
        assert slide_spec(there) == url
        region = Region(10.25, 7, 100, 90)
        np.testing.assert_array_equal(there.read_region(region, 1.1), here.read_region(region, 1.1))
        np.testing.assert_array_equal(np.asarray(there.as_dask()[0]), IMAGE)


def test_nothing_is_asked_twice(server: http.server.ThreadingHTTPServer) -> None:
    with open_slide(f"{url_of(server)}/v0.5.ome.zarr") as slide:
        for _ in range(3):
            slide.read_region(Region(0, 0, 200, 160), 0.5)
    asked = server.asked  # type: ignore[attr-defined]
    chunks = [path for path in asked if "/c/" in path]
    assert len(chunks) == len(set(chunks)) == 4 * 3 + 2 * 2


def test_the_spec_opens_the_slide_in_another_process(
    server: http.server.ThreadingHTTPServer,
) -> None:
    with open_slide(f"{url_of(server)}/v0.4.ome.zarr", mpp=0.3) as slide:
        code = (
            "import sys\nfrom napari_fddm.slides.opening import open_slide\n"
            "with open_slide(sys.argv[1]) as s: print(s.fingerprint, s.mpp.value, s.mpp.source)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, slide_spec(slide)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.stdout.split() == [slide.fingerprint, "0.3", "user"], done.stderr


def test_memory(folder: Path) -> None:
    url = in_memory(folder)
    with open_slide(f"{url}?mpp=0.25") as slide:
        assert (slide.name, slide.mpp) == ("a slide.zarr", Mpp(0.25, "user"))
        np.testing.assert_array_equal(slide.read_level(0, 0, 0, 200, 160), IMAGE)
        with open_slide(slide_spec(slide)) as again:
            assert again.mpp == slide.mpp


def test_file_urls_are_paths_of_any_format(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a slide.tif", [IMAGE], mpp=0.5)
    for url in (path.as_uri(), f"file://localhost{path.as_posix().replace(' ', '%20')}"):
        with open_slide(url) as slide:
            assert (slide.backend, slide_spec(slide)) == ("tiff", str(path))
        assert local_place(url) == path
    with pytest.raises(SlideError, match="no file"):
        open_slide((tmp_path / "gone.tif").as_uri())


def test_public_buckets_need_no_credentials(
    folder: Path, server: http.server.ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("s3fs")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", url_of(server))
    shutil.copytree(folder / "v0.4.ome.zarr", folder / "bucket" / "a.ome.zarr")
    with open_slide("s3://bucket/a.ome.zarr") as slide:
        np.testing.assert_array_equal(slide.read_level(0, 0, 0, 200, 160), IMAGE)
        assert slide_spec(slide) == "s3://bucket/a.ome.zarr"


# Access -----------------------------------------------------------------------------


QUERY = "se=2030-01-01T00%3A00%3A00Z&sig=ab%2Bc%3DTOKEN"
BASIC = "Basic YW5uYTpUT0tFTg=="  # anna:TOKEN


@pytest.mark.parametrize(
    ("access", "needed"), [(f"?{QUERY}", "sig=ab%2Bc"), ("anna:TOKEN@", BASIC)]
)
def test_what_gives_access_goes_to_the_server_and_is_shown_nowhere(
    folder: Path, server: http.server.ThreadingHTTPServer, access: str, needed: str
) -> None:
    server.needed = needed  # type: ignore[attr-defined]
    plain = f"{url_of(server)}/v0.5.ome.zarr"
    url = f"{plain}{access}" if access[0] == "?" else plain.replace("//", f"//{access}")
    with open_slide(url) as slide, open_slide(folder / "v0.5.ome.zarr") as here:
        assert (slide.name, slide.uri) == ("v0.5.ome.zarr", plain)
        assert slide.fingerprint == here.fingerprint
        np.testing.assert_array_equal(slide.read_level(0, 0, 0, 200, 160), IMAGE)
        assert slide.stored_mask((10, 10)) is None
        shown = [repr(slide), slide.name, slide.uri, *slide.warnings, repr(slide_info(slide, ""))]
        assert not any("TOKEN" in text for text in shown)
        with open_slide(slide_spec(slide)) as again:
            assert again.fingerprint == slide.fingerprint
    server.needed = "never"  # type: ignore[attr-defined]
    gone = url.replace("v0.5", "gone")
    for text in (refusal(url), refusal(gone)):
        assert "TOKEN" not in text


def test_an_error_while_reading_shows_no_access(
    server: http.server.ThreadingHTTPServer,
) -> None:
    with open_slide(f"{url_of(server)}/v0.5.ome.zarr?{QUERY}") as slide:
        store = slide._arrays[0].array.store_path.store  # type: ignore[attr-defined]
        store._limit = 0
        store._answers.clear()
        server.needed = "never"  # type: ignore[attr-defined]
        with pytest.raises(SlideError, match="cannot be read at level 0") as caught:
            slide.read_level(0, 0, 0, 64, 64)
    assert "TOKEN" not in str(caught.value)


def test_a_web_server_is_asked_for_its_chunks_when_it_matters(
    folder: Path, server: http.server.ThreadingHTTPServer
) -> None:
    shutil.copytree(folder / "v0.5.ome.zarr", folder / "lost.zarr", dirs_exist_ok=True)
    (folder / "lost.zarr/0/c/0/0/0").unlink(missing_ok=True)
    with open_slide(f"{url_of(server)}/lost.zarr") as slide:
        stored = slide.stored_mask((200, 160))
        assert not stored[:64, :64].any()
        assert stored[64:, 64:].all()
        assert any("1 of 12 chunks of level 0" in text for text in slide.warnings)


def test_a_server_that_fails_has_not_lost_its_chunks(
    server: http.server.ThreadingHTTPServer,
) -> None:
    with open_slide(f"{url_of(server)}/v0.5.ome.zarr") as slide:
        slide._arrays[0].array.store_path.store._answers.clear()  # type: ignore[attr-defined]
        server.needed = "never"  # type: ignore[attr-defined]
        with pytest.raises(SlideError, match="403"):
            slide.stored_mask((10, 10))
        server.needed = ""  # type: ignore[attr-defined]
        assert slide.stored_mask((10, 10)) is None


# What goes wrong ---------------------------------------------------------------------


def refusal(url: str) -> str:
    with pytest.raises(SlideError) as caught:
        open_slide(url)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.hint
    assert url.partition("?")[0].rsplit("/", 1)[-1] in text
    return text


def test_nothing_there(server: http.server.ThreadingHTTPServer) -> None:
    said = refusal(f"{url_of(server)}/gone.svs")
    assert "there is no OME-Zarr at http://127.0.0.1" in said
    assert "downloaded first" in said


def test_access_refused_is_not_taken_for_an_empty_place(
    server: http.server.ThreadingHTTPServer,
) -> None:
    assert "403" in refusal(f"{url_of(server)}/secret.zarr")


def test_unreachable_hosts() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert f"127.0.0.1:{port}: Connect call failed" in refusal(f"http://127.0.0.1:{port}/a.zarr")


def test_unreachable_buckets_say_nothing_else() -> None:
    pytest.importorskip("s3fs")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "import sys; from napari_fddm.cli.main import main; sys.argv[0] = 'x'; main()"
    access = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    done = subprocess.run(
        [sys.executable, "-c", code, "info", "s3://bucket/a.zarr"],
        capture_output=True, text=True, check=False,
        env={**os.environ, **access, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"},
    )  # fmt: skip
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "a.zarr cannot be read from bucket" in done.stderr


def test_a_silent_server_does_not_hang_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "READ_SECONDS", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        said = refusal(f"http://127.0.0.1:{silent.getsockname()[1]}/a.zarr")
    assert "does not answer" in said


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nope:// is not known" in refusal("nope://lab/a.zarr")
    # None in sys.modules is how Python is told that a package is not there.
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    assert "`pip install gcsfs`" in refusal("gs://bucket/a.zarr")


def test_a_server_that_goes_away_is_a_slide_error(
    folder: Path, server: http.server.ThreadingHTTPServer
) -> None:
    with open_slide(f"{url_of(server)}/v0.5.ome.zarr") as slide:
        slide._arrays[0].array.store_path.store._limit = 0  # type: ignore[attr-defined]
        slide._arrays[0].array.store_path.store._answers.clear()  # type: ignore[attr-defined]
        shutil.move(folder / "v0.5.ome.zarr", folder / "secret.zarr")
        try:
            server.shutdown()
            server.server_close()
            with pytest.raises(SlideError, match=r"v0\.5\.ome\.zarr cannot be read at level 0"):
                slide.read_level(0, 0, 0, 64, 64)
        finally:
            shutil.move(folder / "secret.zarr", folder / "v0.5.ome.zarr")


@pytest.mark.parametrize("text", ["C:/slides/a.svs", "C://a.svs", "a.svs", "/data/a.svs"])
def test_paths_are_no_urls(text: str) -> None:
    assert not remote.is_url(text)
    assert local_place(text) == Path(text)


def test_places_that_are_not_on_this_disk() -> None:
    assert local_place("synthetic:100x100") is None
    assert local_place("https://lab.org/a.zarr?mpp=0.5") is None
    assert local_place("/data/a.svs?mpp=0.5") == Path("/data/a.svs")
