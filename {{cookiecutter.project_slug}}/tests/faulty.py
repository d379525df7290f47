"""The service with routes that fail on request. `python -m tests.faulty` runs it."""

import asyncio

from fastapi import APIRouter

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

from .part_routes import add_part_faults  # feature: part_tests

FAMILIES: dict[str, BaseException] = {
    "ValueError": ValueError("secret"),
    "ExceptionGroup": ExceptionGroup("several", [ValueError("secret")]),
    "SystemExit": SystemExit(7),
    "CancelledError": asyncio.CancelledError(),
}

faults = APIRouter(prefix="/faults")


@faults.get("/raise/{family}")
async def raise_one(family: str) -> None:
    raise FAMILIES[family]


@faults.get("/sleep/{seconds}")
async def sleep(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "slept"


@faults.get("/tasks")
async def tasks() -> int:
    return len(asyncio.all_tasks())


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
