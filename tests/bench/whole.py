"""The generated service with more routes, as one process: `python -m bench.whole`."""

# mypy: ignore-errors
# It runs where its packages are, in the generated service's environment.

from measured_service.app import SETTINGS, create_service
from measured_service.environment import read
from measured_service.server import leave, run
from measured_service.settings import ServiceSettings
from measured_service.telemetry import configure_logging

from . import bare

if __name__ == "__main__":
    settings = read(SETTINGS)
    configure_logging(json_lines=True, level="INFO")
    made = create_service(settings)
    bare.add_routes(made.app.app.app, bare.in_memory())
    run(made.app, made.details, settings[ServiceSettings], made.tally)
    leave(0)
