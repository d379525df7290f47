"""Generate a service, measure it and minimal applications, and report the measurements.

    python -m bench [--quick] [--only TEXT] [--fault-minutes N] [--to FOLDER]

Prints each measurement with its target, and writes `bench.json` and `bench.svg`. The exit status is
0 unless a scenario could not be measured. A missed target does not change it, because the values
depend on the machine.
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

from supervised import SupervisedProcesses

from tools.generate import ROOT, environment, set_up, settings

from .breakers import LIBRARIES
from .compare import FULL, QUICK, Measurement, Plan
from .report import json_document, summary_line, svg_chart, table_row

FOLDER = ROOT / ".build" / "bench"
OTHERS = FOLDER / "others"
"""What the service is compared with, apart from its own packages."""
USUAL_STACK = (
    "asgiref==3.13.0",
    "opentelemetry-instrumentation-asgi==0.66b1",
    "opentelemetry-instrumentation-fastapi==0.66b1",
    "opentelemetry-util-http==0.66b1",
    "structlog==26.1.0",
)
"""The packages of `usual_stack.py`. Their requirements are packages of the service."""
VARIABLES = {"UV_PROJECT_ENVIRONMENT": str(FOLDER / "environment")}
ANSWERS = ("project_name=Measured Service", "redis=no")
"""No Redis: a cache would respond instead of the database, whose reads are measured."""
GENERATION_TIMEOUT = 120.0
"""Seconds for one run of cookiecutter: it takes about one second."""


def main() -> int:
    """Measure all scenarios, or some of them, and write the report."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="scenarios with TEXT in their name"
    )
    parser.add_argument(
        "--quick", action="store_true", help="test the benchmark itself; the values are meaningless"
    )
    parser.add_argument(
        "--fault-minutes", type=float, metavar="N", help="minutes of faults (default: 10)"
    )
    parser.add_argument("--to", type=Path, default=FOLDER, help="folder for the output files")
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    if options.fault_minutes is not None:
        plan = dataclasses.replace(plan, fault_minutes=options.fault_minutes)
    started, load = time.time(), os.getloadavg()[0]
    measurements = []
    for measurement in measure(options.to, plan, options.only):
        print(table_row(measurement), flush=True)  # noqa: T201 - output for people
        measurements.append(measurement)
    conditions = {
        "started": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(started)),
        "minutes": round((time.time() - started) / 60, 1),
        "machine": describe_machine(),
        "load_average": [round(load, 2), round(os.getloadavg()[0], 2)],
        "plan": dataclasses.asdict(plan),
    }
    (options.to / "bench.json").write_text(json_document(conditions, measurements), "utf-8")
    (options.to / "bench.svg").write_text(svg_chart(measurements), "utf-8")
    print(summary_line(measurements))  # noqa: T201
    print(f"See {os.path.relpath(options.to / 'bench.json')}")  # noqa: T201
    return 0


def measure(folder: Path, plan: Plan, only: str) -> Iterator[Measurement]:
    """Generate a service, and yield each measurement as soon as it exists.

    Exits with status 1 if a scenario fails.
    """
    yield from measure_generation(folder, min(plan.rounds, 3))
    service = folder / "out" / "measured-service"
    set_up(service, **VARIABLES)
    python = FOLDER / "environment" / "bin" / "python"
    # The sources by path: another run may have installed its own service in this environment.
    path = os.pathsep.join(map(str, [ROOT / "tests", service, service / "src", OTHERS]))
    if only in "fail fast":
        install_others(python, *LIBRARIES.values())
    if only in "routes":
        install_others(python, "--no-deps", *USUAL_STACK)
    with SupervisedProcesses() as processes:
        worker = processes.start(
            [str(python), "-m", "bench.measure", json.dumps(dataclasses.asdict(plan)), only],
            cwd=service,
            env=environment() | VARIABLES | {"PYTHONPATH": path},
        )
        with worker:
            assert worker.stdout
            for line in worker.stdout:
                yield Measurement(**json.loads(line))
    shutil.rmtree(folder / "out")
    if worker.returncode:
        sys.exit("A scenario failed. The reason is above.")


def install_others(python: Path, *arguments: str) -> None:
    """Install libraries that the service is compared with, apart from its own packages."""
    uv = [os.environ.get("UV", "uv"), "pip", "install", "--quiet", f"--python={python}"]
    subprocess.run([*uv, f"--target={OTHERS}", *arguments], check=True)


def measure_generation(folder: Path, rounds: int) -> Iterator[Measurement]:
    """Generate the service, and yield how long that takes."""
    cookiecutter = [sys.executable, "-m", "cookiecutter"]
    commands = {
        "generate a service": [
            *cookiecutter,
            str(ROOT),
            "--no-input",
            "--overwrite-if-exists",
            f"--config-file={settings(folder)}",
            f"--output-dir={folder / 'out'}",
            *ANSWERS,
        ],
        "start cookiecutter only": [*cookiecutter, "--version"],
    }
    durations: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        shutil.rmtree(folder / "out", ignore_errors=True)
        for name, command in commands.items():
            started = time.perf_counter()
            subprocess.run(
                command,
                env=environment(),
                stdout=subprocess.DEVNULL,
                check=True,
                timeout=GENERATION_TIMEOUT,
            )
            durations[name].append(time.perf_counter() - started)
    for name, seconds in durations.items():
        yield Measurement("generation", name, median(seconds), "s")


def describe_machine() -> str:
    """Return the machine and the Python version that the measurements belong to."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next((line.split(": ")[1] for line in lines if "model name" in line), model)
    return (
        f"{os.cpu_count()} cores, {model}, {platform.system()}, Python {platform.python_version()}"
    )


if __name__ == "__main__":
    sys.exit(main())
