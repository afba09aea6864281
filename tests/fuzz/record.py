"""What a run of many cases leaves on the disk: results that it can go on from, and a summary.

::

    OUT/run.json         seed of all chances; commit of each kind; versions
    OUT/results.jsonl    one line for each case
    OUT/failures.jsonl   those that failed, with what happened
    OUT/summary.md       counts for each kind
"""

from __future__ import annotations

import json
import platform
import subprocess
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.fuzz.cases import FAILED, OTHER, REFUSED, SAID, SAME, Result

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[2]
SUMMARY = "summary.md"
_BEGIN, _END = "<!-- fuzz summary -->\n", "<!-- end of fuzz summary -->"
_LIBRARIES = ("numpy", "tifffile", "imagecodecs", "openslide-python", "zarr", "pillow", "torch",
              "safetensors")  # fmt: skip


class CommitError(Exception):
    """Results of another commit lie there."""


class Record:
    """Results in a folder; each is on the disk before the next one comes.

    Parameters
    ----------
    folder : Path
        Created if it is not there.
    base : str
        Seed of all chances.
    commit : str
        Of what is tested, see `commit_of`.
    """

    def __init__(self, folder: Path, base: str, commit: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.base, self.commit = folder, base, commit
        self._about = folder / "run.json"
        self._results = folder / "results.jsonl"
        known = json.loads(self._about.read_text()) if self._about.exists() else {}
        if known and known["base"] != base:
            raise CommitError(
                f"{folder} holds cases of the seed {known['base']!r}: choose another folder."
            )
        self.kinds: dict[str, dict[str, Any]] = known.get("kinds", {})

    def begin(self, kinds: Iterable[str], *, again: bool = False) -> None:
        """Make sure that the results of these kinds are of this commit; forget them if asked.

        Raises
        ------
        CommitError
            If a kind has results of another commit, and is not run again.
        """
        kinds = list(kinds)
        if again:
            self._forget(kinds)
        others = {k: v["commit"] for k, v in self.kinds.items() if v["commit"] != self.commit}
        stale = sorted(others.keys() & set(kinds))
        if stale:
            raise CommitError(
                f"the results of {', '.join(stale)} in {self.folder} are of commit "
                f"{others[stale[0]]}, this is {self.commit}. After a fix, name the kinds to run "
                f"again: FUZZ_KINDS={','.join(stale)} FUZZ_AGAIN=1."
            )
        for kind in kinds:
            self.kinds.setdefault(kind, {"commit": self.commit, "again": again})
        self._write()

    def results(self) -> list[Result]:
        """Return what was found so far; a line that was cut off is forgotten."""
        if not self._results.exists():
            return []
        found = []
        for line in self._results.read_text().splitlines():
            try:
                found.append(Result(**json.loads(line)))
            except ValueError:
                continue
        return found

    def add(self, result: Result) -> None:
        """Keep a result."""
        line = json.dumps(result.to_json()) + "\n"
        with self._results.open("a") as file:
            file.write(line)
        if result.verdict == FAILED:
            with (self.folder / "failures.jsonl").open("a") as file:
                file.write(line)

    def summarize(self, seconds: float) -> str:
        """Write the summary and return it; `seconds` were needed since the last one."""
        known = json.loads(self._about.read_text())
        self._write(seconds=known.get("seconds", 0.0) + seconds)
        text = summary(self.results(), json.loads(self._about.read_text()))
        (self.folder / SUMMARY).write_text(text)
        return text

    def _forget(self, kinds: list[str]) -> None:
        kept = [r for r in self.results() if r.kind not in kinds]
        for name, results in (
            ("results.jsonl", kept),
            ("failures.jsonl", [r for r in kept if r.verdict == FAILED]),
        ):
            text = "".join(json.dumps(r.to_json()) + "\n" for r in results)
            (self.folder / name).write_text(text)
        for kind in kinds:
            self.kinds.pop(kind, None)

    def _write(self, **more: Any) -> None:
        known = json.loads(self._about.read_text()) if self._about.exists() else {}
        about = {**known, "base": self.base, "kinds": self.kinds, "versions": _versions(), **more}
        self._about.write_text(json.dumps(about, indent=1) + "\n")


def summary(results: list[Result], about: dict[str, Any]) -> str:
    """Return the counts for each kind as a Markdown table, and what they were counted with."""
    commits = Counter(v["commit"] for v in about["kinds"].values())
    main = commits.most_common(1)[0][0] if commits else "none"
    head = ["kind", "cases", "refused", "read, with a word", "same numbers", "read otherwise",
            "failures", "of all: blind"]  # fmt: skip
    rows = [head, ["---"] + ["---:"] * (len(head) - 1)]
    total: Counter[str] = Counter()
    for kind in sorted(about["kinds"]):
        counts = Counter(r.verdict for r in results if r.kind == kind)
        counts["all"] = counts.total()
        counts["blind"] = sum(1 for r in results if r.kind == kind and not r.judged)
        total += counts
        rows.append(_row(kind, counts))
    rows.append(_row("all", total))
    lines = [f"| {' | '.join(row)} |" for row in rows]
    again = [
        f"{kind} at {entry['commit']}"
        for kind, entry in sorted(about["kinds"].items())
        if entry["commit"] != main or entry.get("again")
    ]
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    lines += [
        "",
        f"Commit {main}; seed {about['base']}; {about.get('seconds', 0) / 60:.0f} minutes;",
        f"{versions}.",
    ]
    if again:
        lines.append(f"Run again after a fix: {', '.join(again)}.")
    return "\n".join(lines) + "\n"


def write_into(page: Path, text: str) -> None:
    """Put a summary between its marks in a page."""
    before, _, rest = page.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    page.write_text(f"{before}{_BEGIN}\n{text}\n{_END}{after}")


def commit_of(root: Path = ROOT) -> str:
    """Return the commit of a checkout, marked if files differ from it."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return git("rev-parse", "--short=12", "HEAD") + (" with local changes" if changed else "")


def _row(name: str, counts: Counter[str]) -> list[str]:
    keys = ("all", REFUSED, SAID, SAME, OTHER, FAILED, "blind")
    return [name, *(str(counts[key]) for key in keys)]


def _versions() -> dict[str, str]:
    return {"Python": platform.python_version()} | {name: version(name) for name in _LIBRARIES}
