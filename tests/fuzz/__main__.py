"""Run many damaged files, or one again.

    python -m tests.fuzz                        all kinds; settings are variables, see below
    python -m tests.fuzz --kind tiff --case 12  one case, with what came of it
    python -m tests.fuzz --kind tiff --case 12 --keep FOLDER    and the damaged file
    python -m tests.fuzz --write docs/reliability.md    the summary into a page, nothing is run

``FUZZ_CASES`` (20000) of them over all kinds, or ``FUZZ_KINDS`` (names with commas between),
go on where they were stopped in ``FUZZ_OUT`` (fuzz-output). ``FUZZ_AGAIN=1`` forgets the results
of the kinds first, after a fix. ``FUZZ_SEED`` draws other cases, ``FUZZ_WORKERS`` (2) is the
number of processes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.cases import FAILED, Result
from tests.fuzz.kinds.every import KINDS
from tests.fuzz.record import SUMMARY, CommitError, Record, commit_of, write_into
from tests.fuzz.runner import Process, run_cases

EVERY = 500
"""Cases between two lines of progress."""


def main() -> int:
    """Read the arguments and the environment; 1 if a case failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--kind", choices=sorted(KINDS))
    parser.add_argument("--case", type=int)
    parser.add_argument("--keep", type=Path, help="folder for the damaged file")
    parser.add_argument("--write", type=Path, help="page to put the summary of FUZZ_OUT into")
    given = parser.parse_args()
    out = Path(os.environ.get("FUZZ_OUT", "fuzz-output")).resolve()
    base = os.environ.get("FUZZ_SEED", "0")
    if given.case is not None:
        return _one(out, base, given.kind, given.case, given.keep)
    if given.write is not None:
        write_into(given.write, (out / SUMMARY).read_text())
        return 0
    try:
        return _all(out, base)
    except CommitError as error:
        print(error, file=sys.stderr)
        return 2


def _one(out: Path, base: str, kind: str, case: int, keep: Path | None) -> int:
    process = Process(out / "work" / "one", out / "seeds", base)
    try:
        result = process.ask(kind, case, keep and keep.resolve())
    finally:
        process.close()
    for name, value in result.to_json().items():
        print(f"{name}: {value}")
    return int(result.verdict == FAILED)


def _all(out: Path, base: str) -> int:
    kinds = os.environ.get("FUZZ_KINDS", "").split(",") if os.environ.get("FUZZ_KINDS") else None
    chosen = kinds or list(KINDS)
    unknown = [k for k in chosen if k not in KINDS]
    if unknown:
        print(f"no kind {', '.join(unknown)}; there are {', '.join(KINDS)}", file=sys.stderr)
        return 2
    each = -(-int(os.environ.get("FUZZ_CASES", "20000")) // len(KINDS))
    record = Record(out, base, commit_of())
    record.begin(chosen, again=bool(os.environ.get("FUZZ_AGAIN")))
    finished = {(r.kind, r.case) for r in record.results()}
    wanted = [(k, c) for k in chosen for c in range(each) if (k, c) not in finished]
    counts: Counter[str] = Counter()
    begun = time.monotonic()

    def done(result: Result) -> None:
        record.add(result)
        counts[result.verdict] += 1
        if result.verdict == FAILED:
            print(json.dumps(result.to_json())[:600])
            print(f"  again: python -m tests.fuzz --kind {result.kind} --case {result.case}")
        if counts.total() % EVERY == 0:
            minutes = (time.monotonic() - begun) / 60
            print(
                f"{counts.total()} of {len(wanted)} in {minutes:.1f} min: {dict(counts)}",
                flush=True,
            )

    try:
        run_cases(
            wanted, out, base=base, workers=int(os.environ.get("FUZZ_WORKERS", "2")), done=done
        )
    finally:
        print(record.summarize(time.monotonic() - begun))
    return int(any(r.verdict == FAILED for r in record.results()))


if __name__ == "__main__":
    sys.exit(main())
