"""The generated service with the comparison routes: `python -m bench.full_service`.

The variables BENCH_ROUTES and BENCH_CHECKS add routes and checks.
"""

# mypy: ignore-errors
# It runs with the packages of the generated service.

import os

from measured_service.app import create_service
from measured_service.health import Check
from measured_service.server import exit_process, run
from measured_service.settings import read_settings
from measured_service.telemetry import configure_logging

from . import baseline


async def do_nothing() -> None:
    """Pass, as a check or as a route."""


if __name__ == "__main__":
    settings = read_settings()
    configure_logging(json_lines=True, level="INFO")
    service = create_service(settings)
    routes = service.api.router.routes
    documents = [route for route in routes if not getattr(route, "include_in_schema", True)]
    baseline.add_comparison_routes(service.api, baseline.memory_router())
    for number in range(int(os.environ.get("BENCH_ROUTES", "0"))):
        service.api.get(f"/growth/{number}")(do_nothing)
    for number in range(int(os.environ.get("BENCH_CHECKS", "0"))):
        service.app.registry.add(Check(f"growth.{number}", do_nothing))
    for route in documents:  # they stay behind all others, as `add_docs` puts them
        routes.remove(route)
        routes.append(route)
    run(service, settings.service)
    exit_process(0)
