"""The response to a request whose dependency is down, and what it says to the checks."""

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from reference_service.api import add_error_handlers
from reference_service.health import Check, Probes, Registry
from reference_service.traffic import (
    CircuitOpenError,
    RequestRecord,
    Traffic,
    WorkAbandonedError,
)

from ..health.fakes import Dependency


class CountingRegistry(Registry):
    """Counts how often it is asked to bring checks forward."""

    rechecks = 0

    def recheck(self, name: str | None = None) -> None:
        self.rechecks += 1
        super().recheck(name)


@pytest.mark.parametrize(
    ("error", "detail", "reason", "rechecks"),
    [
        (CircuitOpenError, "so nothing was done; try again.", "circuit_open", 0),
        (WorkAbandonedError, "A dependency is unavailable; try again.", "", 1),
    ],
)
async def test_error_is_answered_503_and_only_work_that_was_tried_is_evidence(
    error: type[Exception], detail: str, reason: str, rechecks: int
) -> None:
    rejections: list[None] = []
    records: list[RequestRecord] = []
    app = FastAPI()
    add_error_handlers(app, [], on_reject=lambda: rejections.append(None))

    @app.get("/")
    async def fail() -> None:
        raise error

    registry = CountingRegistry([Check("shop", Dependency().check)])
    traffic = Traffic(app, registry, [records.append])
    transport = ASGITransport(Probes(traffic, registry, recheck_status_codes=()))
    async with AsyncClient(transport=transport, base_url="http://service") as client:
        response = await client.get("/")
    await registry.stop()
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"].endswith(detail)
    assert [record.rejected for record in records] == [reason]
    assert len(rejections) == (reason != "")
    assert registry.rechecks == rechecks
