"""Measure, with the packages that are compared: `python -m comparison.worker OPTIONS`.

OPTIONS is JSON: see `Options`. Each result is one line of JSON on standard output.
"""

import asyncio
import contextlib
import dataclasses
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from bench.measured_process import MeasuredProcess

from .costs import measure_costs
from .during_faults import Plan, Watch, break_and_repair
from .flood import flood, warm_up
from .libraries import LIBRARIES, Library
from .servers import FAULTS, Servers, running_servers

PACKAGES = (
    "FastAPI",
    "Starlette",
    "uvicorn",
    "SQLAlchemy",
    "asyncpg",
    "redis",
    "Django",
    "Flask",
    "gunicorn",
    "psycopg",
)


@dataclasses.dataclass(frozen=True)
class Options:
    """folder: for the servers and logs. only: text in the names of libraries.

    faults, import_rounds: how many. probes: of a flood. Bounds in seconds: see `Plan`.
    """

    folder: str
    only: str
    faults: int
    import_rounds: int
    probes: int
    plan: dict[str, float]


def report(kind: str, **values: object) -> None:
    """Print one result."""
    print(json.dumps({"kind": kind, **values}), flush=True)


def versions(servers: Servers, libraries: Sequence[Library]) -> dict[str, str]:
    """Return the versions of everything that takes part."""
    packages = [*(library.package for library in libraries if library.package), *PACKAGES]
    installed = {name: importlib.metadata.version(name) for name in packages}
    return {**installed, **servers.versions(), "Python": platform.python_version()}


@contextlib.asynccontextmanager
async def watching(
    libraries: Sequence[Library], processes: Sequence[MeasuredProcess]
) -> AsyncIterator[list[Watch]]:
    """Ask the probes of all applications in a `with` block."""
    watches = [
        Watch(process.port, library.probe)
        for library, process in zip(libraries, processes, strict=True)
    ]
    tasks = [asyncio.create_task(watch.poll()) for watch in watches]
    try:
        yield watches
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def measure_faults(libraries: Sequence[Library], servers: Servers, options: Options) -> None:
    """Report what the probes of all applications say in each fault."""
    for fault in FAULTS[: options.faults]:
        with contextlib.ExitStack() as stack:
            folder, variables = Path(options.folder), servers.variables
            processes = [
                stack.enter_context(library.serve(folder, variables)) for library in libraries
            ]
            for process in processes:
                await warm_up(process.port)
            async with watching(libraries, processes) as watches:
                outcomes = await break_and_repair(fault, servers, watches, Plan(**options.plan))
        for library, outcome in zip(libraries, outcomes, strict=True):
            report("fault", fault=fault.name, library=library.name, **dataclasses.asdict(outcome))


async def measure_floods(libraries: Sequence[Library], servers: Servers, options: Options) -> None:
    """Report what 200 probes do to each application, one after the other."""
    for library in libraries:
        with library.serve(Path(options.folder), servers.variables) as process:
            result = await flood(library, process, servers, options.probes)
        report("flood", library=library.name, **dataclasses.asdict(result))


def main(options: Options) -> None:
    """Start the servers, and report everything."""
    libraries = [library for library in LIBRARIES if options.only in library.name]
    folder = Path(options.folder)
    with running_servers(folder) as servers:
        report("versions", versions=versions(servers, libraries))
        variables = {**os.environ, **servers.variables}
        costs = measure_costs(libraries, variables, folder, options.import_rounds)
        for name, cost in costs.items():
            report("costs", library=name, **dataclasses.asdict(cost))
        asyncio.run(measure_faults(libraries, servers, options))
        asyncio.run(measure_floods(libraries, servers, options))


if __name__ == "__main__":
    main(Options(**json.loads(sys.argv[1])))
