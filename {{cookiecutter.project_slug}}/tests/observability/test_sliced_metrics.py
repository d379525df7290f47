"""The page of metrics: it is served in slices, and complete."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text
from starlette.types import Message

from reference_service.telemetry.sliced_metrics import (
    MetricsPage,
    SlicedHistogram,
)

ROUTES = 50
NAME = "request_seconds"
BUCKETS = (0.1, 1)
OPENMETRICS = {"accept": "application/openmetrics-text; version=1.0.0"}


@pytest.fixture
def registry() -> CollectorRegistry:
    """Return a registry with one histogram of many series between two other metrics."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    Counter("first", "A metric.", registry=registry).inc()
    histogram = SlicedHistogram(NAME, "Duration.", ("route",), BUCKETS)
    registry.register(histogram)
    for number in range(ROUTES):
        histogram.labels(f"/{number}").observe(0.5, {"trace_id": "abc"})
    Counter("last", "A metric.", registry=registry).inc()
    return registry


async def get(registry: CollectorRegistry, url: str = "/metrics", **headers: str) -> str:
    transport = httpx.ASGITransport(MetricsPage(registry))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        return (await client.get(url, headers=headers)).text


async def test_other_tasks_run_between_slices(registry: CollectorRegistry) -> None:
    turns = 0
    turns_before_slices: list[int] = []

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def send(message: Message) -> None:
        assert message.get("body", b"").count(f"\n{NAME}_count".encode()) <= 1
        turns_before_slices.append(turns)

    other = asyncio.create_task(take_turns())
    scope = {"type": "http", "headers": [], "query_string": b""}
    await MetricsPage(registry)(scope, asyncio.Event().wait, send)  # type: ignore[arg-type]
    other.cancel()
    slices = turns_before_slices[1:]  # without the start of the response
    assert len(slices) > ROUTES
    assert slices == sorted(set(slices)), "no other task ran between two slices"


async def test_page_shows_the_same_as_an_ordinary_histogram(registry: CollectorRegistry) -> None:
    ordinary = CollectorRegistry()
    histogram = Histogram(NAME, "Duration.", ("route",), buckets=BUCKETS, registry=ordinary)
    for number in range(ROUTES):
        histogram.labels(f"/{number}").observe(0.5)
    [expected] = ordinary.collect()
    families = {family.name: family for family in parse_text(await get(registry))}
    assert list(families) == ["first", NAME, "last"]
    shown = [(each.name, each.labels, each.value) for each in families[NAME].samples]
    assert shown == [(each.name, each.labels, each.value) for each in expected.samples]


async def test_metric_without_samples_is_described(registry: CollectorRegistry) -> None:
    Counter("nothing", "A metric.", ("label",), registry=registry)
    assert "# TYPE nothing_total counter\n" in await get(registry)


async def test_openmetrics_are_valid_and_have_exemplars(registry: CollectorRegistry) -> None:
    text = await get(registry, **OPENMETRICS)
    [family] = [each for each in parse_openmetrics(text) if each.name == NAME]  # type: ignore[no-untyped-call]
    exemplars = [each.exemplar for each in family.samples if each.exemplar]
    assert len(exemplars) == ROUTES
    assert text.endswith("\n# EOF\n")


@pytest.mark.parametrize("headers", [{}, OPENMETRICS])
async def test_name_selects_samples(registry: CollectorRegistry, headers: dict[str, str]) -> None:
    text = await get(registry, f"/metrics?name[]={NAME}_count", **headers)
    names = {line.partition("{")[0] for line in lines(text)}
    assert names == {f"{NAME}_count"}


async def test_series_that_starts_during_a_scrape_is_in_the_next_one(
    registry: CollectorRegistry,
) -> None:
    histogram = SlicedHistogram("more", "Duration.", ("route",), BUCKETS)
    registry.register(histogram)
    for number in range(2):
        histogram.labels(f"/{number}")
    families = histogram.collect()
    next(families)
    histogram.labels("/new")
    assert len(list(families)) == 1
    assert len(list(histogram.collect())) == 3


def lines(text: str) -> Iterator[str]:
    return (line for line in text.splitlines() if not line.startswith("#"))
