"""Hand cases to processes, end those that hang, and keep what came of each case."""

from __future__ import annotations

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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.fuzz.cases import FAILED, Result
from tests.fuzz.jail import Jail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LONGEST_CPU = 30.0
"""Seconds of processor time of a case: one takes some hundredths."""
LONGEST_WALL = 300.0
"""Seconds of a case in all, on a machine that does other work as well: it may wait for a pipe."""
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
    """

    def __init__(self, jail: Path, seeds: Path, base: str) -> None:
        self.jail, self.seeds, self.base = jail, seeds, base
        self._process: subprocess.Popen[str] | None = None

    def ask(self, kind: str, case: int, keep: Path | None = None) -> Result:
        """Run a case; its death and its hanging are results, too."""
        self._tell({"do": "build", "kind": kind}, limits=False)
        answer = self._tell({"do": "case", "kind": kind, "case": case, "keep": keep and str(keep)})
        if isinstance(answer, dict):
            return Result(**answer)
        return Result(kind, case, FAILED, True, detail=answer)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _tell(self, asked: dict[str, Any], *, limits: bool = True) -> dict[str, Any] | str:
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        begun, cpu = time.monotonic(), _cpu_seconds(process.pid)
        while not select.select([process.stdout], [], [], 0.5)[0]:
            waited, worked = time.monotonic() - begun, _cpu_seconds(process.pid) - cpu
            if limits and (waited > LONGEST_WALL or worked > LONGEST_CPU):
                self.close()
                return f"a hang: not done after {worked:.0f} s of processor time, {waited:.0f} s"
        line = process.stdout.readline()
        if line:
            return dict(json.loads(line))
        code = process.wait()
        self._process = None
        printed = (self.jail / "printed").read_bytes()[-3000:].decode(errors="replace")
        if not limits or code >= 0:
            raise RuntimeError(f"a worker ended with {code} at {asked}:\n{printed}")
        return f"the process died of {signal.Signals(-code).name}\n{printed[-1000:]}"

    def _start(self) -> subprocess.Popen[str]:
        shutil.rmtree(self.jail, ignore_errors=True)
        self.jail.mkdir(parents=True)
        path = os.pathsep.join(str(p) for p in (ROOT / "src", ROOT))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.worker", self.jail, self.seeds, self.base],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self.jail / "printed").open("wb"),
            text=True,
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


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS
