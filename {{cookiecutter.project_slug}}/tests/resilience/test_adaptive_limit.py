"""The limit that is learned meets the objective under overload, on simulated time."""

import pytest

from reference_service.resilience import AdaptiveLimit

from .overload_simulation import (
    CAPACITY,
    OBJECTIVE,
    SCENARIOS,
    SLOW,
    SLOW_CAPACITY,
    Request,
    Scenario,
    Simulation,
    in_order,
    percentile_99,
    poisson,
    slow_database,
)


def run(name: str) -> tuple[Scenario, list[Request]]:
    scenario = SCENARIOS[name]
    return scenario, scenario.run(AdaptiveLimit(OBJECTIVE))


def rejected(requests: list[Request]) -> int:
    return sum(not request.accepted for request in requests)


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("2 x", 0.9),
        ("5 x", 0.6),  # rejections need the rest of the CPU
        ("slow database, 2 x", 0.9),
        ("slow database, 10 x", 0.8),
        ("40 threads, 2 x", 0.88),
        ("40 threads, 5 x", 0.88),
    ],
)
def test_overloaded_service_answers_as_many_requests_as_it_can(name: str, share: float) -> None:
    scenario, requests = run(name)
    in_time = sum(request.accepted and request.seconds <= 1 for request in requests)
    assert in_time >= share * scenario.possible * scenario.seconds


@pytest.mark.parametrize("name", ["2 x", "5 x", "slow database, 2 x", "40 threads, 5 x"])
def test_accepted_requests_are_answered_within_twice_the_objective(name: str) -> None:
    _, requests = run(name)
    accepted = [request.seconds for request in requests if request.accepted]
    assert percentile_99(accepted) <= 2 * OBJECTIVE


@pytest.mark.parametrize(
    "name",
    [
        "0.7 x",
        "slow database, 0.7 x",
        "slow database whose time varies, 0.7 x",
        "200 at once, three times",
        "50/s of a 5 s route beside 0.5 x",
    ],
)
def test_service_without_overload_rejects_nothing(name: str) -> None:
    _, requests = run(name)
    assert rejected(requests) == 0


def test_route_that_becomes_slow_is_rejected_for_a_moment_only() -> None:
    _, requests = run("database becomes slow, 0.7 x")
    late = [request for request in requests if request.sent > 7]
    assert rejected(late) == 0
    assert rejected(requests) < 0.02 * len(requests)


@pytest.mark.parametrize("factor", [2, 5])
def test_nothing_is_rejected_two_seconds_after_an_overload(factor: int) -> None:
    load = in_order(poisson(factor * CAPACITY, 0, 5), poisson(0.7 * CAPACITY, 5, 10))
    requests = Simulation(AdaptiveLimit(OBJECTIVE)).run(load)
    assert rejected(requests) > 0
    assert rejected([request for request in requests if request.sent > 7]) == 0


def test_limit_returns_to_its_start_when_the_overload_is_over() -> None:
    limit = AdaptiveLimit(OBJECTIVE)
    start = limit.value
    simulation = Simulation(limit, service_seconds=slow_database)
    simulation.run(poisson(2 * SLOW_CAPACITY, 0, 5))
    assert limit.value < start / 10
    simulation.run(poisson(10, 20, 60))
    assert limit.value == start


def test_slow_requests_that_wait_elsewhere_do_not_shrink_the_limit_under_overload() -> None:
    load = in_order(poisson(1.5 * CAPACITY, 0, 12), poisson(20, 0, 12, SLOW))
    requests = Simulation(AdaptiveLimit(OBJECTIVE)).run(load)
    others = [request for request in requests if request.route != SLOW]
    in_time = sum(request.accepted and request.seconds <= 1 for request in others)
    assert in_time >= 0.8 * CAPACITY * 12


def test_limit_does_not_drift_under_an_overload_that_lasts() -> None:
    """What a queue adds to each latency must not be taken for the latency of the route."""
    limit = AdaptiveLimit(OBJECTIVE)
    requests = Simulation(limit).run(poisson(4 * CAPACITY, 0, 30))
    last = [each.seconds for each in requests if each.accepted and each.sent > 20]
    assert percentile_99(last) <= 2 * OBJECTIVE


def test_few_slow_answers_do_not_shrink_the_limit() -> None:
    limit, now = AdaptiveLimit(OBJECTIVE), 0.0
    limit.in_flight = 30
    for number in range(1000):
        now += 0.01
        assert limit.admits(now)
        limit.observe("report", now - (3.0 if number % 20 == 0 else 0.005), now)


def test_limit_grows_while_it_is_reached_and_requests_are_fast() -> None:
    limit, now = AdaptiveLimit(OBJECTIVE), 0.0
    start = limit.value
    for _ in range(1000):
        now += 0.01
        limit.in_flight = int(limit.value) + 1
        limit.admits(now)
        limit.observe("events", now - 5, now)
    assert limit.value > 2 * start


def test_fast_service_admits_larger_bursts() -> None:
    """A pause of the process must not reject what is answered within the objective."""
    limit = AdaptiveLimit(OBJECTIVE)
    Simulation(limit).run(poisson(0.7 * CAPACITY, 0, 5))
    assert limit.value > 0.7 * CAPACITY * OBJECTIVE
