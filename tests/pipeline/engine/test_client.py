"""The engine process, really started: it runs, stops, fails and dies as it should."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_fddm.core.errors import ConfigError, EngineError, FddmError, SlideError, WeightsError
from napari_fddm.core.events import AnalysisOpened, StageDone, TileBatch
from napari_fddm.core.geometry import Region
from napari_fddm.pipeline.engine import EngineClient
from napari_fddm.pipeline.engine.client import error_of
from napari_fddm.pipeline.engine.messages import (
    EngineReady,
    RunCancelled,
    RunEvent,
    RunFailed,
    RunFinished,
    RunRequest,
)
from napari_fddm.pipeline.engine.server import EngineServer
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.slides import open_slide

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

SLIDE = "synthetic:2600x2600?seed=3&mpp=0.5"  # 6 by 6 tiles
ONE_BY_ONE = {"tissue": "all", "batch_size": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def client() -> Iterator[EngineClient]:
    """One engine for all tests of this module: it takes seconds to start."""
    with closing(EngineClient()) as engine:
        yield engine


def answers(client: EngineClient, folder: Path, store: Path, /, **options: Any) -> list[Any]:
    values = {"slide": SLIDE, "config": ONE_BY_ONE, "model": str(folder), **options}
    run = client.run(values.pop("slide"), str(store), **values)
    return [answer for answer in run if answer is not None]


def events_of(found: list[Any], kind: type) -> list[Any]:
    return [a.event for a in found if isinstance(a, RunEvent) and isinstance(a.event, kind)]


def process_of(client: EngineClient) -> subprocess.Popen[str]:
    assert client._process is not None
    return client._process


def test_it_says_when_it_is_ready(client: EngineClient):
    client.start()
    ready = client.wait_until_ready()
    assert isinstance(ready, EngineReady)
    assert ready.device
    assert ready.seconds > 0
    assert client.running
    pid = process_of(client).pid
    client.start()
    assert process_of(client).pid == pid


def test_a_run_tells_everything_and_ends_with_a_summary(
    client: EngineClient, tiny_model: Path, tmp_path: Path
):
    store = tmp_path / "s.fddm.ome.zarr"
    found = answers(client, tiny_model, store, config={"device": "cpu", "label_mpp": 8.0})
    assert isinstance(found[-1], RunFinished)
    assert not any(isinstance(a, RunFinished | RunCancelled) for a in found[:-1])
    assert isinstance(next(a for a in found if isinstance(a, RunEvent)).event, AnalysisOpened)
    assert [e.stage for e in events_of(found, StageDone)] == ["tissue", "patch", "refined", "store"]
    summary = found[-1].summary
    assert summary["store"] == str(store)
    assert summary["report"]["provenance"]["config"]["label_mpp"] == 8.0
    with AnalysisStore.open(store) as made:
        assert made.maps.complete
        batches = events_of(found, TileBatch)
        patch = made.labels("patch")
        for batch in batches:
            assert np.array_equal(patch[batch.rows, batch.cols], batch.labels)
        assert sum(len(b.rows) for b in batches) == np.count_nonzero(patch)


def test_region_and_pixel_size_reach_the_run(
    client: EngineClient, tiny_model: Path, tmp_path: Path
):
    found = answers(
        client, tiny_model, tmp_path / "s", mpp=1.0, region=Region(0, 0, 300, 200),
        config={**ONE_BY_ONE, "stage": "patch"},
    )  # fmt: skip
    assert found[-1].summary["report"]["mpp"] == 1.0
    places = [(int(b.rows[0]), int(b.cols[0])) for b in events_of(found, TileBatch)]
    assert sorted(places) == [(0, 0), (1, 0)]


def test_a_cancelled_run_says_so_and_keeps_its_tiles(
    client: EngineClient, tiny_model: Path, tmp_path: Path
):
    store = tmp_path / "s"
    run = client.run(SLIDE, str(store), model=str(tiny_model), config=ONE_BY_ONE)
    answer, last, asked = next(run), None, False
    try:
        while True:
            last = answer or last
            is_tile = isinstance(answer, RunEvent) and isinstance(answer.event, TileBatch)
            answer = run.send(is_tile and not asked)
            asked |= is_tile
    except StopIteration:
        pass
    assert isinstance(last, RunCancelled)
    with AnalysisStore.open(store) as kept:
        done = np.count_nonzero(kept.labels("patch"))
        assert 0 < done < 36
        assert not kept.maps.complete
    found = answers(client, tiny_model, store)
    assert sum(len(b.rows) for b in events_of(found, TileBatch)) == 36 - done
    assert isinstance(found[-1], RunFinished)


def test_a_run_that_is_dropped_does_not_speak_into_the_next(
    client: EngineClient, tiny_model: Path, tmp_path: Path
):
    run = client.run(SLIDE, str(tmp_path / "a"), model=str(tiny_model), config=ONE_BY_ONE)
    while not isinstance(next(run), RunEvent):
        pass
    run.close()
    found = answers(client, tiny_model, tmp_path / "b")
    ids = {a.run_id for a in found}
    assert len(ids) == 1
    assert events_of(found, AnalysisOpened)[0].store == str(tmp_path / "b")
    assert isinstance(found[-1], RunFinished)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"slide": "nowhere/slide.svs"}, SlideError),
        ({"slide": "synthetic:x"}, SlideError),
        ({"model": "no-such-model"}, WeightsError),
        ({"config": {"steps": -1}}, ConfigError),
        ({"region": Region(9999, 0, 5, 5)}, ConfigError),
    ],
)
def test_errors_arrive_as_what_they_are(
    client: EngineClient, tiny_model: Path, tmp_path: Path, options: dict[str, Any], kind: type
):
    with pytest.raises(kind) as caught:
        answers(client, tiny_model, tmp_path / "s", **options)
    assert type(caught.value) is kind
    assert client.running


def test_an_error_arrives_word_by_word(client: EngineClient, tiny_model: Path, tmp_path: Path):
    bad = tmp_path / "bad.svs"
    bad.write_bytes(b"II*\0 this is no slide")
    with pytest.raises(FddmError) as here:
        open_slide(bad)
    with pytest.raises(FddmError) as there:
        answers(client, tiny_model, tmp_path / "s", slide=str(bad))
    assert type(there.value) is type(here.value)
    assert (there.value.message, there.value.hint) == (here.value.message, here.value.hint)
    assert there.value.hint


def test_a_killed_engine_is_noticed_and_replaced(
    client: EngineClient, tiny_model: Path, tmp_path: Path
):
    store = tmp_path / "s"
    run = client.run(SLIDE, str(store), model=str(tiny_model), config=ONE_BY_ONE)
    for answer in run:
        if isinstance(answer, RunEvent) and isinstance(answer.event, TileBatch):
            break
    killed = process_of(client).pid
    os.kill(killed, signal.SIGKILL)
    with pytest.raises(EngineError, match="engine process stopped with code -9") as caught:
        list(run)
    assert "lack of memory" in caught.value.message
    assert "kept" in caught.value.hint
    assert "\n" not in str(caught.value)
    assert not client.running

    found = answers(client, tiny_model, store)
    assert isinstance(found[-1], RunFinished)
    assert process_of(client).pid != killed
    kept = np.count_nonzero(events_of(found, AnalysisOpened)[0].patch)
    assert kept >= 1
    assert sum(len(b.rows) for b in events_of(found, TileBatch)) == 36 - kept


def test_closing_leaves_no_process_and_may_be_repeated(client: EngineClient):
    client.start()
    process = process_of(client)
    client.close()
    assert process.returncode is not None
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
    assert not client.running
    client.close()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_an_engine_ends_with_its_supervisor():
    """A crashed napari leaves no engine behind."""
    code = (
        "import os\n"
        "from napari_fddm.pipeline.engine.client import EngineClient\n"
        "client = EngineClient(); client.start()\n"
        "print(client._process.pid, flush=True)\n"
        "os._exit(1)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    orphan = int(done.stdout)
    give_up = time.monotonic() + 60
    while is_alive(orphan):
        if time.monotonic() > give_up:
            os.kill(orphan, signal.SIGKILL)
            pytest.fail("the engine outlived its supervisor")
        time.sleep(0.1)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


def test_an_interpreter_that_cannot_start_is_reported(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with closing(EngineClient()) as engine, pytest.raises(EngineError, match="could not be start"):
        engine.start()


def test_an_engine_that_stops_while_starting_is_reported_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho starting >&2\necho no memory left >&2\nexit 3\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    with closing(EngineClient()) as engine:
        with pytest.raises(EngineError, match="code 3") as caught:
            engine.start()
        assert "Its last words: no memory left" in str(caught.value)
        assert not engine.running
    assert not [t for t in threading.enumerate() if t.name == "fddm-accept"]


class Sent:
    """The server's end of a connection: keeps what is sent."""

    def __init__(self) -> None:
        self.replies: list[RunFailed] = []

    def send(self, reply: RunFailed) -> None:
        self.replies.append(reply)


def test_a_bug_in_the_engine_reaches_the_user_and_the_log(caplog: pytest.LogCaptureFixture):
    connection = Sent()
    request = RunRequest(7, "synthetic:", None, "fddm-small", None, None, "s")  # no settings
    EngineServer(connection)._run(request)
    (reply,) = connection.replies
    assert reply.run_id == 7
    error = error_of(reply)
    assert isinstance(error, EngineError)
    assert "unexpected TypeError" in error.message
    assert "report this" in error.hint
    assert "in _analyze" in caplog.text


def test_the_supervisor_does_not_import_what_the_engine_needs():
    code = (
        "import sys\n"
        "import napari_fddm.pipeline.engine.client\n"
        "heavy = {'torch', 'timm', 'peft', 'diffusers', 'dask', 'zarr', 'qtpy', 'napari'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
