"""Run the scenarios, and print each measurement as JSON: `python -m bench.measure PLAN TEXT`.

It runs in the folder of the generated service, with the service's packages. PLAN is a `Plan` as
JSON. Only scenarios with TEXT in their name are run.
"""

import dataclasses
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from . import cpu_per_request, fail_fast, growth, overload, probe_flood, startup_memory
from .compare import Measurement, Plan
from .environment import Environment
from .measured_process import pinned_to_core

SCENARIOS: dict[str, Callable[[Environment, Plan], Iterator[Measurement]]] = {
    "probes": cpu_per_request.probes,
    "routes": cpu_per_request.routes,
    "layers": cpu_per_request.layers,
    "probe flood": probe_flood.probe_flood,
    "overload of a busy service": overload.busy_service,
    "overload of a slow database": overload.slow_database,
    "overload of def handlers": overload.blocking_handlers,
    "ordinary load": overload.ordinary_load,
    "fail fast": fail_fast.fail_fast,
    "startup": startup_memory.startup,
    "growth of the API": growth.routes,
    "growth of checks": growth.checks,
    "growth of connections": growth.connections,
    "memory after requests": startup_memory.memory_after_requests,
    "memory after faults": startup_memory.memory_after_faults,
}


def main(plan: Plan, text: str) -> None:
    """Run the matching scenarios in sequence."""
    selected = {name: scenario for name, scenario in SCENARIOS.items() if text in name}
    with (
        pinned_to_core(-1),
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        Environment(Path(folder)) as env,
    ):
        for name, scenario in selected.items():
            print(f"{name} …", file=sys.stderr, flush=True)  # noqa: T201 - output for people
            for measurement in scenario(env, plan):
                print(json.dumps(dataclasses.asdict(measurement)), flush=True)  # noqa: T201


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))  # `with` blocks stop the servers
    main(Plan(**json.loads(sys.argv[1])), sys.argv[2])
