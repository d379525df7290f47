"""Generates a service with every feature, breaks it in every way, and writes down what was seen.

    python -m faults [--only TEXT | --quick] [--jobs N] [--to FOLDER]

Writes `faults.json` and `faults.html`, and prints the table. The exit status is 1 if a fault fell
short of what must be answered.
"""

import argparse
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tools.generate import ROOT, environment, generate, set_up

from .report import page, row, totals
from .scenarios import GROUPS, named

FOLDER = ROOT / ".build" / "faults"
VARIABLES = {"UV_PROJECT_ENVIRONMENT": str(FOLDER / "environment")}
FEATURES = ("postgres", "redis", "sentinel", "kafka", "grpc", "observability")


def main() -> int:
    """Play all faults, or some, a few groups at a time."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", metavar="TEXT", help="those with TEXT in their name")
    parser.add_argument("--jobs", type=int, default=3, help="groups at a time (default: 3)")
    parser.add_argument("--to", type=Path, default=FOLDER, help="where the files go")
    parser.add_argument("--quick", action="store_true", help="one fault of each group")
    given = parser.parse_args()
    chosen = named(given.only, quick=given.quick)
    if not chosen:
        parser.error(f"no fault has {given.only!r} in its name")
    service = make_service()
    longest_first = sorted(chosen.items(), key=lambda item: -len(item[1]))
    with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
        played = list(pool.map(lambda item: play(service, *item), longest_first))
    results = [result for results in played for result in results]
    results.sort(key=lambda result: list(GROUPS).index(result["group"]))
    missing = sum(map(len, chosen.values())) - len(results)
    given.to.mkdir(parents=True, exist_ok=True)
    (given.to / "faults.json").write_text(json.dumps(results, indent=1), "utf-8")
    (given.to / "faults.html").write_text(page(results, missing), "utf-8")
    print(totals(results, missing))
    print(f"See {os.path.relpath(given.to / 'faults.html')}")
    return 1 if missing or any(result["shortfalls"] for result in results) else 0


def make_service() -> Path:
    """Generate the service, set it up, and return its folder."""
    shutil.rmtree(FOLDER / "out", ignore_errors=True)
    service = generate(FOLDER / "out", **dict.fromkeys(FEATURES, True))
    set_up(service, **VARIABLES)
    return service


def play(service: Path, group: str, names: list[str]) -> list[dict[str, Any]]:
    """Play faults of one group, printing a row as each is over, and return their results."""
    python = FOLDER / "environment" / "bin" / "python"
    with subprocess.Popen(
        [str(python), "-m", "faults.worker", group, *names],
        cwd=service,
        env=environment() | VARIABLES | {"PYTHONPATH": str(ROOT / "tests")},
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        assert worker.stdout
        results = []
        for line in worker.stdout:
            results.append(json.loads(line))
            print(row(results[-1]), flush=True)
    if worker.returncode:
        print(f"{group}: the harness itself failed", file=sys.stderr)
    return results


if __name__ == "__main__":
    sys.exit(main())
