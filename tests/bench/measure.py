"""Plays the scenarios, and prints a figure a line, as JSON: `python -m bench.measure PLAN [TEXT]`.

It runs in the folder and the environment of the generated service. PLAN is a `Plan` as JSON; TEXT
has to be in the name of a scenario that is to be played.
"""

import dataclasses
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from . import cpu_per_request, overload, probe_flood, startup_memory
from .compare import Figure, Plan
from .environment import Stage
from .measured_process import on_core

SCENARIOS: dict[str, Callable[[Stage, Plan], Iterator[Figure]]] = {
    "probes": cpu_per_request.probes,
    "routes": cpu_per_request.routes,
    "layers": cpu_per_request.layers,
    "storm of probes": probe_flood.storm,
    "overload of a slow database": overload.slow_database,
    "overload of a busy service": overload.busy_service,
    "start": startup_memory.start,
    "memory after requests": startup_memory.requests,
    "memory after faults": startup_memory.faults,
}


def main(plan: Plan, text: str) -> None:
    """Play those scenarios, one after the other."""
    chosen = {name: play for name, play in SCENARIOS.items() if text in name}
    with on_core(-1), tempfile.TemporaryDirectory(prefix="bench-") as to, Stage(Path(to)) as stage:
        for name, play in chosen.items():
            print(f"{name} …", file=sys.stderr, flush=True)  # noqa: T201 - for people
            for figure in play(stage, plan):
                print(json.dumps(dataclasses.asdict(figure)), flush=True)  # noqa: T201


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))  # and clear up behind it
    main(Plan(**json.loads(sys.argv[1])), sys.argv[2])
