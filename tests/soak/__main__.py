"""Load a generated service for a long time, with a fault every 20 s, and check that it stays sound.

    python -m soak [--minutes N | --quick] [--to FOLDER]

Prints one line per fault, and writes `soak.json` and `soak.svg`. The exit status is 1 if a check
failed.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

from faults.__main__ import FEATURES
from supervised import SupervisedProcesses

from tools.generate import ROOT, environment, generate, set_up

FOLDER = ROOT / ".build" / "soak"
VARIABLES = {"UV_PROJECT_ENVIRONMENT": str(FOLDER / "environment")}
MINUTES = 30.0
QUICK_MINUTES = 0.5


def main() -> int:
    """Generate the service, run the soak in its environment, and return the exit status."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--minutes", type=float, default=MINUTES, metavar="N", help="minutes of load (default: 30)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="test the soak itself: a fault every 7 s, for 30 s"
    )
    parser.add_argument("--to", type=Path, default=FOLDER, help="folder for the output files")
    options = parser.parse_args()
    if not options.minutes > 0:
        parser.error("--minutes must be positive")
    minutes = QUICK_MINUTES if options.quick else options.minutes
    to: Path = options.to.resolve()
    to.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(to / "out", ignore_errors=True)
    service = generate(to / "out", **dict.fromkeys(FEATURES, True))
    set_up(service, **VARIABLES)
    python = FOLDER / "environment" / "bin" / "python"
    # The sources by path: another run may have installed its own service in this environment.
    path = os.pathsep.join(map(str, [ROOT / "tests", service / "src"]))
    quick = ["--quick"] if options.quick else []
    with SupervisedProcesses() as processes:
        worker = processes.start(
            [str(python), "-m", "soak.worker", str(minutes), str(to), *quick],
            cwd=service,
            env=environment() | VARIABLES | {"PYTHONPATH": path},
        )
        with worker:
            assert worker.stdout
            for line in worker.stdout:
                print(line, end="", flush=True)  # noqa: T201
    shutil.rmtree(to / "out")
    print(f"See {os.path.relpath(to / 'soak.json')} and soak.svg")  # noqa: T201
    return worker.returncode


if __name__ == "__main__":
    sys.exit(main())
