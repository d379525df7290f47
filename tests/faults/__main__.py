"""Generate a service with every feature, break it, and report what its probes returned.

    python -m faults [--only TEXT | --quick] [--jobs N] [--to FOLDER]

Writes `faults.json` and `faults.html`, and prints the table. The exit status is 1 if any probe
response differed from what was expected, or from what clients got. A fault that needs what this
machine lacks is skipped with the reason; under CI=true it counts as failed.
"""

import argparse
import concurrent.futures
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from supervised import SupervisedProcesses

from tools.generate import ROOT, environment, generate, set_up

from .report import html_page, summary_line, table_row
from .scenarios import GROUPS, fault_names, unavailable_faults

FOLDER = ROOT / ".build" / "faults"
VARIABLES = {"UV_PROJECT_ENVIRONMENT": str(FOLDER / "environment")}
FAULT_DURATION = 8.0
"""Seconds that a fault takes beside its `hold`."""
FEATURES = ("postgres", "redis", "sentinel", "kafka", "grpc", "observability", "part_tests")
"""With the part tests, because a service without them has no embedded standby."""


def main() -> int:
    """Run all faults, or some of them, with several groups at the same time."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", metavar="TEXT", help="faults with TEXT in their name")
    parser.add_argument("--jobs", type=int, default=3, help="groups at the same time (default: 3)")
    parser.add_argument("--to", type=Path, default=FOLDER, help="folder for the output files")
    parser.add_argument("--quick", action="store_true", help="one fault from each group")
    parser.add_argument("--repeat", action="store_true", help="repeat failed faults once, alone")
    options = parser.parse_args()
    unavailable = unavailable_faults(options.only)
    for name, reason in unavailable.items():
        print(f"skip: {name}: {reason}")
    selected = fault_names(options.only, quick=options.quick, without=unavailable)
    if not selected:
        parser.error(f"no fault has {options.only!r} in its name")
    service = make_service()
    longest_first = sorted(selected.items(), key=lambda item: -approximate_duration(*item))
    with (
        concurrent.futures.ThreadPoolExecutor(options.jobs) as pool,
        SupervisedProcesses() as processes,  # ends before the pool: the threads wait for it
    ):
        by_group = list(pool.map(lambda item: run_group(processes, service, *item), longest_first))
        results = [result for group_results in by_group for result in group_results]
        if options.repeat:
            results = repeat_failed(processes, service, selected, results)
    results.sort(key=lambda result: list(GROUPS).index(result["group"]))
    missing = sum(map(len, selected.values())) - len(results)
    if "CI" in os.environ:
        missing += len(unavailable)
    options.to.mkdir(parents=True, exist_ok=True)
    (options.to / "faults.json").write_text(json.dumps(results, indent=1), "utf-8")
    (options.to / "faults.html").write_text(html_page(results, missing), "utf-8")
    print(summary_line(results, missing))
    print(f"See {os.path.relpath(options.to / 'faults.html')}")
    return 1 if missing or any(result["errors"] for result in results) else 0


def repeat_failed(
    processes: SupervisedProcesses,
    service: Path,
    selected: dict[str, list[str]],
    results: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Run the faults that did not pass once more, one at a time. Return the latest results.

    On a machine that other work shares, a pause of some seconds can be longer than a bound.
    """
    latest = [result for result in results if not result["errors"]]
    passed = {(result["group"], result["name"]) for result in latest}
    for group, names in selected.items():
        if failed := [name for name in names if (group, name) not in passed]:
            print(f"repeating alone: {', '.join(failed)}", flush=True)
            latest += run_group(processes, service, group, failed)
    return latest


def approximate_duration(group: str, names: list[str]) -> float:
    """Return about how many seconds the faults of a group take."""
    _, faults = GROUPS[group]
    return sum(FAULT_DURATION + fault.hold for fault in faults if fault.name in names)


def make_service() -> Path:
    """Generate the service, install its packages, and return its folder."""
    shutil.rmtree(FOLDER / "out", ignore_errors=True)
    service = generate(FOLDER / "out", **dict.fromkeys(FEATURES, True))
    set_up(service, **VARIABLES)
    return service


def run_group(
    processes: SupervisedProcesses, service: Path, group: str, names: list[str]
) -> list[dict[str, Any]]:
    """Run faults of one group, print one row after each, and return their results."""
    python = FOLDER / "environment" / "bin" / "python"
    worker = processes.start(
        [str(python), "-m", "faults.worker", group, *names],
        cwd=service,
        env=environment() | VARIABLES | {"PYTHONPATH": str(ROOT / "tests")},
    )
    results = []
    with worker:
        assert worker.stdout
        for line in worker.stdout:
            results.append(json.loads(line))
            print(table_row(results[-1]), flush=True)
    if worker.returncode:
        print(f"{group}: the harness itself failed", file=sys.stderr)
    return results


if __name__ == "__main__":
    sys.exit(main())
