"""The generated service with more routes, as one process: `python -m bench.whole [layers PORT]`.

With `layers` it is an application a layer, each with one layer more than the one before, on ports
from PORT on; their names are its first line. In one process, since two of the same program differ
by more than a layer costs.
"""

# mypy: ignore-errors
# It runs where its packages are, in the generated service's environment.

import asyncio
import contextlib
import json
import sys
from collections.abc import Iterator

import uvicorn
import uvloop
from measured_service.app import SETTINGS, Service, create_service
from measured_service.environment import read
from measured_service.health import Probes
from measured_service.server import _config, leave, run
from measured_service.settings import ServiceSettings
from measured_service.telemetry import configure_logging

from . import bare


def service(made: Service, serving: ServiceSettings) -> None:
    """Serve the generated service, as its own `__main__` does."""
    bare.add_routes(made.app.app.app, bare.in_memory())
    run(made.app, made.details, serving, made.tally)
    leave(0)


def layers(made: Service, serving: ServiceSettings, first: int) -> None:
    """Serve the layers that the service itself names, so that none can be forgotten here."""
    memory = bare.in_memory()
    whole = bare.add_routes(made.app.app.app, memory)
    named = {"bare FastAPI": bare.application()}
    for count in range(1, len(whole.user_middleware) + 1):
        inner = whole.user_middleware[-count:]
        named[inner[0].cls.__name__] = bare.application(inner)
    for app in named.values():
        bare.add_routes(app, memory)
    configs = {name: uvicorn.Config(app, **bare.SETTINGS) for name, app in named.items()}
    probed = Probes(app, made.app.registry)
    configs["Probes, Traffic"] = uvicorn.Config(probed, **bare.SETTINGS)
    configs["BoundedProtocol"] = _config(probed, serving, made.tally, lifespan="on")
    configs["tracing, 1 % sampled"] = _config(made.app, serving, made.tally, lifespan="on")
    print(json.dumps(list(configs)), flush=True)  # noqa: T201
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(list(configs.values()), first))


class _Server(uvicorn.Server):
    """One of several, which cannot each have the process's signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(configs: list[uvicorn.Config], first: int) -> None:
    for number, config in enumerate(configs):
        config.port = first + number
    await asyncio.gather(*(_Server(config).serve() for config in configs))


if __name__ == "__main__":
    settings = read(SETTINGS)
    configure_logging(json_lines=True, level="INFO")
    made = create_service(settings)
    match sys.argv[1:]:
        case ["layers", port]:
            layers(made, settings[ServiceSettings], int(port))
        case []:
            service(made, settings[ServiceSettings])
