"""Generates a service, measures it beside the least that could do the same, and tells.

    python -m bench [--quick] [--only TEXT] [--fault-minutes N] [--to FOLDER]

Prints each figure beside its target and writes `bench.json` and `bench.svg`. The exit status is 0
unless something could not be measured: how quick a machine is, is no fault.
"""

import argparse
import dataclasses
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tools.generate import ROOT, environment, set_up, settings

from .compare import FULL, QUICK, Figure, Plan
from .report import document, picture, row, totals

FOLDER = ROOT / ".build" / "bench"
VARIABLES = {"UV_PROJECT_ENVIRONMENT": str(FOLDER / "environment")}
ANSWERS = ("project_name=Measured Service", "redis=no")
"""No Redis: a cache would answer in the place of the row that is to be read."""


def main() -> int:
    """Measure all scenarios, or some, and write down what was seen."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="scenarios with TEXT in their name"
    )
    parser.add_argument("--quick", action="store_true", help="whether it works, not what it says")
    parser.add_argument("--fault-minutes", type=float, metavar="N", help="minutes of faults (10)")
    parser.add_argument("--to", type=Path, default=FOLDER, help="where the files go")
    given = parser.parse_args()
    plan = QUICK if given.quick else FULL
    if given.fault_minutes is not None:
        plan = dataclasses.replace(plan, fault_minutes=given.fault_minutes)
    began, load = time.time(), os.getloadavg()[0]
    figures = []
    for figure in measured(given.to, plan, given.only):
        print(row(figure), flush=True)  # noqa: T201 - for people
        figures.append(figure)
    about = {
        "taken": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(began)),
        "minutes": round((time.time() - began) / 60, 1),
        "machine": machine(),
        "load": [round(load, 2), round(os.getloadavg()[0], 2)],
        "plan": dataclasses.asdict(plan),
    }
    (given.to / "bench.json").write_text(document(about, figures), "utf-8")
    (given.to / "bench.svg").write_text(picture(figures), "utf-8")
    print(totals(figures))  # noqa: T201
    print(f"See {os.path.relpath(given.to / 'bench.json')}")  # noqa: T201
    return 0


def measured(folder: Path, plan: Plan, only: str) -> Iterator[Figure]:
    """Generate a service, and yield the figures as they come. Exits with 1 when there are none."""
    yield from generation(folder, min(plan.rounds, 3))
    service = folder / "out" / "measured-service"
    set_up(service, **VARIABLES)
    python = FOLDER / "environment" / "bin" / "python"
    words = [json.dumps(dataclasses.asdict(plan)), only]
    # Its sources by name: another run may meanwhile have made the environment its own.
    path = os.pathsep.join(map(str, [ROOT / "tests", service, service / "src"]))
    with subprocess.Popen(
        [str(python), "-m", "bench.measure", *words],
        cwd=service,
        env=environment() | VARIABLES | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    ) as measuring:
        assert measuring.stdout
        for line in measuring.stdout:
            yield Figure(**json.loads(line))
    shutil.rmtree(folder / "out")
    if measuring.returncode:
        sys.exit("Something could not be measured, for the reason above.")


def generation(folder: Path, times: int) -> Iterator[Figure]:
    """Generate the service, and yield how long that took."""
    cookiecutter = [sys.executable, "-m", "cookiecutter"]
    ways = {
        "a service": [
            *cookiecutter,
            str(ROOT),
            "--no-input",
            "--overwrite-if-exists",
            f"--config-file={settings(folder)}",
            f"--output-dir={folder / 'out'}",
            *ANSWERS,
        ],
        "cookiecutter's own start": [*cookiecutter, "--version"],
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(times):
        shutil.rmtree(folder / "out", ignore_errors=True)
        for name, command in ways.items():
            began = time.perf_counter()
            subprocess.run(command, env=environment(), stdout=subprocess.DEVNULL, check=True)
            took[name].append(time.perf_counter() - began)
    for name, seconds in took.items():
        yield Figure("generation", name, median(seconds), "s")


def machine() -> str:
    """Say on what the figures were taken."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        model = next((line.split(": ")[1] for line in lines if "model name" in line), model)
    return (
        f"{os.cpu_count()} cores, {model}, {platform.system()}, Python {platform.python_version()}"
    )


if __name__ == "__main__":
    sys.exit(main())
