"""The service with routes that fail on request. `python -m tests.faulty` runs it."""

from reference_service.app import (
    Service,
    create_service,
)
from reference_service.server.serve import (
    exit_process,
    run,
)
from reference_service.settings import (
    Settings,
    read_settings,
)
from reference_service.telemetry import configure_logging

from .fault_routes import faults
from .part_routes import add_part_faults  # feature: part_tests


def create_faulty_service(settings: Settings) -> Service:
    """Create the service with the failing routes."""
    service = create_service(settings)
    service.api.include_router(faults)
    add_part_faults(service.api)  # feature: part_tests
    return service


if __name__ == "__main__":
    settings = read_settings()
    configure_logging(json_lines=True, level="INFO")
    service = create_faulty_service(settings)
    run(service, settings.service)
    exit_process(0)
