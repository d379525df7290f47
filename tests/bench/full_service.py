"""The generated service with more routes, as one process: `python -m bench.full_service`."""

# mypy: ignore-errors
# It runs where its packages are, in the generated service's environment.

from measured_service.app import SETTINGS, create_service
from measured_service.environment import read
from measured_service.server import exit_process, run
from measured_service.settings import ServiceSettings
from measured_service.telemetry import configure_logging

from . import baseline

if __name__ == "__main__":
    settings = read(SETTINGS)
    configure_logging(json_lines=True, level="INFO")
    made = create_service(settings)
    baseline.add_routes(made.app.app.app, baseline.in_memory())
    run(made.app, made.management, settings[ServiceSettings], made.tally)
    exit_process(0)
