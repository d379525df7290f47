"""Standard variables of OpenTelemetry that are empty, unknown or malformed stop no service."""

import socket

import pytest

from reference_service.standard_variables import ignore_unusable

from ..conftest import StartService
from ..domain import PATH
from ..processes import wait_until
from ..service.test_lifecycle import run_service
from .collector import Collector
from .tracing import TRACE_ID, TRACEPARENT, start_with_traces

SIGNALS = ("", "TRACES_")
LIMITS = ("", "SPAN_", "EVENT_", "LINK_")
MALFORMED = {
    **{f"OTEL_EXPORTER_OTLP_{signal}PROTOCOL": "http/json" for signal in SIGNALS},
    **{f"OTEL_EXPORTER_OTLP_{signal}TIMEOUT": "2.5s" for signal in SIGNALS},
    **{f"OTEL_EXPORTER_OTLP_{signal}COMPRESSION": "zstd" for signal in SIGNALS},
    **{f"OTEL_EXPORTER_OTLP_{signal}HEADERS": "secret" for signal in SIGNALS},
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "collector:4318",
    **{
        f"OTEL_EXPORTER_OTLP_{signal}{kind}": "/nowhere"
        for signal in SIGNALS
        for kind in ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")
    },
    **{f"OTEL_{kind}ATTRIBUTE_COUNT_LIMIT": "-1" for kind in LIMITS},
    **{f"OTEL_{kind}ATTRIBUTE_VALUE_LENGTH_LIMIT": "many" for kind in LIMITS[:2]},
    "OTEL_SPAN_EVENT_COUNT_LIMIT": "1e3",
    "OTEL_SPAN_LINK_COUNT_LIMIT": "99999999999999999999",
    "OTEL_BSP_SCHEDULE_DELAY": "-5",
    "OTEL_BSP_EXPORT_TIMEOUT": "0",
    "OTEL_BSP_MAX_QUEUE_SIZE": "0",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "100000",
    "OTEL_PROPAGATORS": "tracecontext,b3",
    "OTEL_RESOURCE_ATTRIBUTES": "service.name",
    "OTEL_SDK_DISABLED": "yes",
    "OTEL_TRACES_EXPORTER": "console",
    "OTEL_TRACES_SAMPLER": "jaeger_remote",
    "OTEL_TRACES_SAMPLER_ARG": "1.5",
    "OTEL_TRACES_FORCED_PER_SECOND": "-1",
}
IGNORED_BY_THE_SDK = {
    "OTEL_LOG_LEVEL": "LOUD",
    "OTEL_METRICS_EXPORTER": "statsd",
    "OTEL_LOGS_EXPORTER": "syslog",
    "OTEL_METRICS_EXEMPLAR_FILTER": "never",
    "OTEL_METRIC_EXPORT_INTERVAL": "-1",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "moon",
    "OTEL_CONFIG_FILE": "/nowhere",
}
ALL = {
    **MALFORMED,
    **IGNORED_BY_THE_SDK,
    "OTEL_EXPORTER_OTLP_ENDPOINT": "",
    "OTEL_SERVICE_NAME": "",
}


@pytest.mark.parametrize(("name", "value"), MALFORMED.items())
def test_each_warning_names_the_variable_and_not_its_value(name: str, value: str) -> None:
    environment = {name: value}
    [sentence] = ignore_unusable(environment)
    assert sentence.startswith(f"{name} ")
    assert "secret" not in sentence
    assert environment.get(name) != value


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http://[::1",
        "http://c:abc",
        "http://c:0",
        "http://c:999999",
        "http://a b",
        "http://<c>",
    ],
)
def test_url_that_no_client_can_use_is_ignored(url: str) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": url}
    [sentence] = ignore_unusable(environment)
    assert sentence == "OTEL_EXPORTER_OTLP_ENDPOINT is ignored: it is not the URL of a collector."
    assert not environment


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:p%40ss@[::1]:4318"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", __file__),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20abc==,x-tenant=a"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=shop, k8s.pod.name=shop-1,"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318/base"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.01"),
        ("OTEL_SDK_DISABLED", "TRUE"),
        ("OTEL_PROPAGATORS", "baggage,tracecontext"),
        ("OTEL_PROPAGATORS", "none"),
        ("OTEL_FUTURE_VARIABLE", "anything"),
    ],
)
def test_usable_variable_is_kept(name: str, value: str) -> None:
    environment = {name: value}
    assert list(ignore_unusable(environment)) == []
    assert environment == {name: value}


def test_empty_variables_are_unset() -> None:
    environment = dict.fromkeys(ALL, "") | {"SERVICE_PORT": "1"}
    assert list(ignore_unusable(environment)) == []
    assert environment == {"SERVICE_PORT": "1"}


def test_batch_is_not_larger_than_the_queue() -> None:
    environment = {"OTEL_BSP_MAX_QUEUE_SIZE": "100"}
    [sentence] = ignore_unusable(environment)
    assert sentence.startswith("OTEL_BSP_MAX_EXPORT_BATCH_SIZE ")
    assert environment["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"] == "100"


def test_malformed_variables_are_logged_as_warnings(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        port = str(occupied.getsockname()[1])  # so that the service exits
        done = run_service(**environment, **MALFORMED, SERVICE_PORT=port)
    assert done.stderr.startswith("SERVICE_PORT: cannot listen")
    assert [name for name in MALFORMED if name not in done.stdout] == []


def test_service_with_malformed_variables_is_traced(
    start_service: StartService, collector: Collector
) -> None:
    service = start_service(**{**ALL, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
    service.until_ready()
    assert service.api.get(PATH, headers={"traceparent": TRACEPARENT}).status_code == 200
    wait_until(lambda: TRACE_ID in {span.trace_id for span in collector.spans})


def test_no_propagators_no_common_trace(start_service: StartService, collector: Collector) -> None:
    service = start_with_traces(start_service, collector.url, OTEL_PROPAGATORS="none")
    assert service.api.get(PATH, headers={"traceparent": TRACEPARENT}).status_code == 200
    wait_until(lambda: f"GET {PATH}" in {span.name for span in collector.spans})
    assert TRACE_ID not in {span.trace_id for span in collector.spans}


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=shop"}, "shop"),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "service.name=shop", "OTEL_SERVICE_NAME": "other"},
            "other",
        ),
    ],
)
def test_service_name_of_the_environment_wins(
    start_service: StartService, collector: Collector, variables: dict[str, str], name: str
) -> None:
    service = start_with_traces(start_service, collector.url, **variables)
    service.api.get(PATH)
    wait_until(lambda: collector.spans)
    assert {span.service for span in collector.spans} == {name}
