"""Compare this engine with health check libraries, and write `docs/comparison.md`.

    python -m comparison [--only TEXT | --quick] [--to FOLDER]

Prints one line per result, and writes `comparison.json`. A complete run also writes the tables of
the page. The exit status is 1 if something could not be measured.
"""

import argparse
import dataclasses
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from bench.__main__ import describe_machine
from patterns.copying import make_copy
from supervised import SupervisedProcesses

from tools.generate import ROOT, environment

from .during_faults import Plan
from .libraries import HOSTS, LIBRARIES
from .page import PAGE, result_line, write_tables

FOLDER = ROOT / ".build" / "comparison"
PATTERNS = ("check-postgres", "check-redis")
FULL: dict[str, Any] = {"faults": 5, "import_rounds": 5, "probes": 200, "plan": {}}
QUICK: dict[str, Any] = {
    "faults": 1,
    "import_rounds": 1,
    "probes": 10,
    "plan": {"calm": 0, "shortest": 1, "after": 0},
}
QUICK_LIBRARY = "fast-healthchecks"


def main() -> int:
    """Measure, and write the report."""
    parser = argparse.ArgumentParser(prog="make comparison", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="libraries with TEXT in the name"
    )
    parser.add_argument("--quick", action="store_true", help="test the comparison itself")
    parser.add_argument("--to", type=Path, default=FOLDER, help="folder for the output file")
    options = parser.parse_args()
    only = options.only or (QUICK_LIBRARY if options.quick else "")
    if not any(only in library.name for library in LIBRARIES):
        parser.error(f"no library has {only!r} in its name")
    started, load = time.time(), os.getloadavg()[0]
    results = measure(options.to.resolve() / "run", only, QUICK if options.quick else FULL)
    document = {
        "conditions": {
            "started": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(started)),
            "minutes": round((time.time() - started) / 60, 1),
            "machine": describe_machine(),
            "load_average": [round(load, 1), round(os.getloadavg()[0], 1)],
            "plan": dataclasses.asdict(Plan()),
        },
        "results": results,
    }
    file = options.to / "comparison.json"
    file.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    print(f"See {os.path.relpath(file)}")
    if not only:
        PAGE.write_text(write_tables(PAGE.read_text("utf-8"), document), "utf-8")
        print(f"See {os.path.relpath(PAGE)}")
    return 0


def measure(folder: Path, only: str, plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Run the worker in a folder, print its results, and return them.

    Exits with status 1 if it fails. The logs are in the folder then.
    """
    shutil.rmtree(folder, ignore_errors=True)
    copy_engine(folder / "shop")
    python = FOLDER / "environment" / "bin" / "python"
    options = {"folder": str(folder), "only": only, **plan}
    results = []
    path = os.pathsep.join([os.environ["PYTHONPATH"], str(folder)])
    with SupervisedProcesses() as processes:
        worker = processes.start(
            [str(python), "-m", "comparison.worker", json.dumps(options)],
            cwd=ROOT,
            env=environment() | {"PYTHONPATH": path},
        )
        with worker:
            assert worker.stdout
            for line in worker.stdout:
                results.append(json.loads(line))
                print(result_line(results[-1]), flush=True)
    if worker.returncode:
        sys.exit("A measurement failed. The reason is above.")
    shutil.rmtree(folder)
    return results


def copy_engine(package: Path) -> None:
    """Copy the engine and its checks into a package with an application, as `make copy` does."""
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    shutil.copy(HOSTS / "fastapi_app.py", package)
    for pattern in PATTERNS:
        copied = make_copy(pattern, package)
        if copied.returncode:
            sys.exit(f"{pattern} cannot be copied:\n{copied.stdout}{copied.stderr}")
    shutil.copy(HOSTS / "with_candid.py", package)


if __name__ == "__main__":
    sys.exit(main())
