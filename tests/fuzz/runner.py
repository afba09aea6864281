"""Hand cases to processes, end those that hang, and keep what came of each case."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.fuzz.cases import FAILED, Result
from tests.fuzz.jail import Jail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LONGEST_CPU = 30.0
"""Seconds of processor time of a case: one takes some hundredths."""
LONGEST_WAIT = 10.0
"""Seconds that a case may do nothing at all, as one does that waits for a pipe."""
ROOT = Path(__file__).parents[2]
_TICKS = os.sysconf("SC_CLK_TCK")


class Process:
    """One worker and the jail it lives in; started again when it has died.

    Parameters
    ----------
    jail : Path
        Its folder.
    seeds : Path
        Where seeds lie.
    base : str
        Seed of all chances.
    cpu, wait : float
        Seconds: processor time of a case, and how long it may do nothing at all.
    """

    def __init__(
        self,
        jail: Path,
        seeds: Path,
        base: str,
        *,
        cpu: float = LONGEST_CPU,
        wait: float = LONGEST_WAIT,
    ) -> None:
        self.jail, self.seeds, self.base = jail, seeds, base
        self._longest_cpu, self._longest_wait = cpu, wait
        self._process: subprocess.Popen[bytes] | None = None
        self._read = b""

    def ask(self, kind: str, case: int, keep: Path | None = None) -> Result:
        """Run a case; its death and its hanging are results, too."""
        self._begin({"do": "build", "kind": kind})
        line = self._line(None)
        if not line:
            raise RuntimeError(f"no seeds of {kind}:\n{self._printed()}")
        self._begin({"do": "case", "kind": kind, "case": case, "keep": keep and str(keep)})
        about = Result(kind, case, FAILED, judged=True)
        since = self._cpu_seconds()
        while True:
            line = self._line(since)
            if line is None:
                self.close()
                return replace(about, detail="a hang: it was ended")
            if not line:
                return replace(about, detail=self._death())
            answer = json.loads(line)
            if "begun" not in answer:
                return Result(**answer)
            about = Result(**answer["begun"])

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._end()

    def _begin(self, asked: dict[str, Any]) -> None:
        process = self._process or self._start()
        assert process.stdin is not None
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        process.stdin.flush()

    def _line(self, since: float | None) -> str | None:
        """Return the next line, "" if the process has died, None if it takes too long."""
        assert self._process is not None
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        worked, moved = 0.0, time.monotonic()
        while b"\n" not in self._read:
            if select.select([pipe], [], [], 0.5)[0]:
                more = os.read(pipe, 1 << 16)
                if not more:
                    return ""
                self._read += more
            elif since is not None:
                before, worked = worked, self._cpu_seconds() - since
                moved = time.monotonic() if worked > before else moved
                if worked > self._longest_cpu or time.monotonic() - moved > self._longest_wait:
                    return None
        line, _, self._read = self._read.partition(b"\n")
        return line.decode()

    def _death(self) -> str:
        assert self._process is not None
        code = self._end()
        if code >= 0:
            raise RuntimeError(f"a worker ended with {code}:\n{self._printed()}")
        return f"the process died of {signal.Signals(-code).name}\n{self._printed()}"

    def _end(self) -> int:
        """Forget the process, which has ended or soon will; return its code."""
        assert self._process is not None
        process, self._process = self._process, None
        with process, contextlib.suppress(BrokenPipeError):  # its pipes are closed
            process.communicate()
        return process.returncode

    def _printed(self) -> str:
        """Return what a dying process said, without the list of modules behind it."""
        text = (self.jail / "printed").read_bytes()[-6000:].decode(errors="replace")
        return text.partition("Extension modules:")[0][-3000:].strip()

    def _cpu_seconds(self) -> float:
        try:
            stat = Path(f"/proc/{self._process.pid if self._process else 0}/stat").read_text()
        except OSError:
            return 0.0
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def _start(self) -> subprocess.Popen[bytes]:
        shutil.rmtree(self.jail, ignore_errors=True)
        self.jail.mkdir(parents=True)
        self._read = b""
        path = os.pathsep.join(str(p) for p in (ROOT / "src", ROOT))
        with (self.jail / "printed").open("wb") as printed:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.worker", self.jail, self.seeds, self.base],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=printed,
                cwd=self.jail,
                env=os.environ
                | Jail.environment(self.jail)
                | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"},
            )
        return self._process


def run_cases(
    wanted: Iterable[tuple[str, int]],
    folder: Path,
    *,
    base: str,
    workers: int,
    done: Callable[[Result], None],
) -> None:
    """Run cases of kinds with some processes.

    Parameters
    ----------
    wanted : iterable of (str, int)
        Kind and number of each case.
    folder : Path
        Where seeds are kept and processes work.
    base : str
        Seed of all chances.
    workers : int
        Number of processes.
    done : callable
        Called with each result, by one thread at a time.
    """
    waiting: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
    for item in wanted:
        waiting.put(item)
    mutex, building = threading.Lock(), threading.Lock()
    faults: list[BaseException] = []

    def work(number: int) -> None:
        process = Process(folder / "work" / str(number), folder / "seeds", base)
        try:
            while not faults:
                kind, case = waiting.get_nowait()
                if not (folder / "seeds" / kind).exists():
                    with building:
                        process.ask(kind, case)
                result = process.ask(kind, case)
                with mutex:
                    done(result)
        except queue.Empty:
            pass
        except BaseException as fault:  # noqa: BLE001 - raised below, in the caller's thread
            faults.append(fault)
        finally:
            process.close()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
