"""No span contains a secret, whatever the message of an error is."""

from ..conftest import StartService
from ..domain import PATH
from ..processes import wait_until
from ..telemetry.secrets import find_secret, plant, secret_variables
from .receiver import receiving


def test_spans_show_no_secret(start_service: StartService, environment: dict[str, str]) -> None:
    received: list[str] = []
    with receiving(lambda _, body: received.append(body.decode(errors="replace"))) as url:
        service = start_service(
            OTEL_EXPORTER_OTLP_ENDPOINT=url,
            OTEL_BSP_SCHEDULE_DELAY=100,
            OTEL_TRACES_SAMPLER="always_on",
            **plant(environment),
        )
        names = list(secret_variables())
        for name in names:
            service.api.get(f"/faults/show/{name}")
        service.api.get(PATH)
        service.api.get("/health/ready", headers={"x-trace-health": "true"})
        wait_until(lambda: "health.failures" in "".join(received))
        wait_until(lambda: "".join(received).count("the server said: ") >= 3 * len(names))
        service.process.stop()
    assert find_secret("\n".join(received)) == []
