"""Look up known vulnerabilities of what is installed, and list its licenses.

    python scripts/audit.py [--out FILE]

Vulnerabilities are looked up by pip-audit, in the index of packages and in OSV. It takes a
package that no server knows for one without vulnerabilities; here that counts as not audited.
Exit codes: 0 if no vulnerability is known, or if nothing could be audited, which is said; 1 if
one is known. Licenses never fail: what has none, or one that reaches programs which use it
(GPL, AGPL), is listed for a person to judge.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import subprocess
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

SERVICES = ("pypi", "osv")
NOT_AUDITED = "nothing was audited: no advisory server could be reached"
UNKNOWN = "unknown"
LONGEST = 80
"""Characters of a license field that is a name; longer ones are a text."""
_REACHING = re.compile(r"(?<!L)GPL|Affero|(?<!Lesser )General Public License", re.IGNORECASE)


def license_of(metadata: Any) -> str:
    """Return the license that a package states: as an expression, a name or a classifier."""
    expression = metadata.get("License-Expression")
    named = (metadata.get("License") or "").strip()
    if expression:
        return str(expression)
    if named and named.upper() != "UNKNOWN" and len(named) <= LONGEST and "\n" not in named:
        return str(named)
    prefix = "License :: "
    stated = [c for c in metadata.get_all("Classifier") or [] if c.startswith(prefix)]
    names = [c.rpartition(" :: ")[2] for c in stated if c != "License :: OSI Approved"]
    if names:
        return ", ".join(names)
    if not named or named.upper() == "UNKNOWN":
        return UNKNOWN
    return f"{named.splitlines()[0][:LONGEST]} …"


def reaches_users(text: str) -> bool:
    """Return whether every license that one may choose extends to programs that use it."""
    return all(_REACHING.search(choice) for choice in re.split(r"\bOR\b", text))


def licenses(installed: list[Distribution]) -> dict[str, str]:
    """Return the license of each package, by its name and version, in the order of names."""
    found = {
        f"{package.metadata['Name']} {package.version}": license_of(package.metadata)
        for package in installed
        if package.metadata["Name"]
    }
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def ask(service: str) -> dict[str, Any] | None:
    """Return what pip-audit found with one service; None if it found out nothing."""
    command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", service]
    done = subprocess.run(
        [*command, "--progress-spinner", "off", "--format", "json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        print(f"{service}: {last_line(done.stderr)}")
        return None
    return answer if isinstance(answer, dict) else None


def last_line(text: str) -> str:
    """Return the last line of what a program wrote."""
    return (text.strip().splitlines() or ["no answer"])[-1][:300]


def judge(answers: list[dict[str, Any] | None]) -> int:
    """Print what the services know, and return the exit code."""
    known: dict[str, set[str]] = {}
    names: set[str] = set()
    for answer in answers:
        for package in (answer or {}).get("dependencies", []):
            names.add(package["name"])
            if "vulns" in package:
                found = known.setdefault(f"{package['name']} {package.get('version', '')}", set())
                found |= {fault["id"] for fault in package["vulns"]}
    audited = {name.partition(" ")[0] for name in known}
    if not audited:
        print(NOT_AUDITED)
        return 0
    print(f"{len(audited)} packages were audited")
    if names - audited:
        print(f"not audited, as no server knows them: {', '.join(sorted(names - audited))}")
    faulty = {name: ids for name, ids in sorted(known.items()) if ids}
    for name, ids in faulty.items():
        print(f"VULNERABLE: {name}: {', '.join(sorted(ids))}")
    if not faulty:
        print("no vulnerability of them is known")
    return 1 if faulty else 0


def main() -> int:
    """Print licenses and vulnerabilities; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, help="file for the list of all licenses")
    options = parser.parse_args()
    found = licenses(list(distributions()))
    lines = "".join(f"{name}: {text}\n" for name, text in found.items())
    if options.out is not None:
        options.out.write_text(lines, encoding="utf-8")
    print(f"licenses of {len(found)} packages\n{lines}")
    print("without a license that is stated:")
    print("".join(f"  {name}\n" for name, text in found.items() if text == UNKNOWN) or "  none")
    print("with a license that extends to programs that use them:")
    reaching = (f"  {name}: {text}\n" for name, text in found.items() if reaches_users(text))
    print("".join(reaching) or "  none")
    if importlib.util.find_spec("pip_audit") is None:
        print(f"{NOT_AUDITED}: pip-audit is not installed and could not be fetched")
        return 0
    return judge([ask(service) for service in SERVICES])


if __name__ == "__main__":
    sys.exit(main())
