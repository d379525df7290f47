"""The rules by which `ready` is compared with what clients got."""

from faults.clients import Kind, Response
from faults.probe_client import NO_RESPONSE, ProbeResponse
from faults.truth import (
    Judge,
    State,
    combined_outages,
    half_fails,
    outages,
    state_at,
    state_changes,
)

JUDGE = Judge(detection=3, recovery=2, warning=5, outcome_warning=2)


def kind(
    name: str,
    codes: dict[float, int],
    *,
    core: bool = True,
    writes: bool = False,
    took: float = 0.0,
) -> Kind:
    """Return a kind of request with these codes by the time at which each request was sent."""
    responses = [Response(at, code, took) for at, code in codes.items()]
    return Kind(name, "GET", "/", core=core, writes=writes, responses=responses)


def ready(codes: dict[float, int], *, warning: bool = False) -> list[ProbeResponse]:
    return [ProbeResponse(at, code, 0.0, warning) for at, code in codes.items()]


def test_outage_lasts_from_the_first_failure_to_the_next_success() -> None:
    [outage] = outages(kind("read", {0: 200, 1: 503, 2: NO_RESPONSE, 3: 404}, took=0.25).responses)
    assert (outage.start, outage.success_sent, outage.success_received) == (1, 3, 3.25)


def test_request_without_a_response_is_evidence_before_the_client_gives_up() -> None:
    [outage] = outages([Response(1.0, NO_RESPONSE, 2.0)])
    assert outage.evident == 1.5


def test_outages_of_several_kinds_that_overlap_are_one() -> None:
    read = kind("read", {0: 500, 4: 200})
    create = kind("create", {2: 500, 6: 200, 9: 500, 10: 200}, writes=True)
    assert [(each.start, each.success_sent) for each in combined_outages([read, create])] == [
        (0, 6),
        (9, 10),
    ]


def test_state_is_the_worst_of_what_fails() -> None:
    kinds = [
        kind("read", {0: 200, 30: 500, 40: 200}),
        kind("create", {0: 200, 20: 500, 50: 200}, writes=True),
        kind("stock", {0: 200, 10: 500, 60: 200}, core=False),
    ]
    assert list(state_changes(kinds, 0)) == [
        (0, State.WORKS),
        (10, State.DEGRADED),
        (20, State.READS_ONLY),
        (30, State.DOWN),
        (40, State.READS_ONLY),
        (50, State.DEGRADED),
        (60, State.WORKS),
    ]
    assert state_at(kinds, 35) is State.DOWN


def test_green_answer_is_a_lie_only_after_the_detection_bound() -> None:
    kinds = [kind("read", {0: 200, 10: 500, 19: 500, 20: 200})]
    assert JUDGE.lies(ready({12: 200, 14: 503, 19: 503, 21: 200}), kinds) == []
    assert JUDGE.lies(ready({12: 200, 14: 503, 15: 200, 19: 503}), kinds) != []


def test_green_answer_after_the_last_failure_is_no_lie_although_no_success_followed_yet() -> None:
    kinds = [kind("read", {0: 200, 10: 500, 19: 500, 20: 200})]
    assert JUDGE.lies(ready({18: 503, 19.5: 200}), kinds) == []


def test_red_answer_is_a_false_alarm_unless_the_core_work_failed_just_before() -> None:
    kinds = [kind("read", {0: 200, 10: 500, 20: 200})]
    assert JUDGE.false_alarms(ready({5: 200, 14: 503, 21: 503, 23: 200}), kinds) == []
    assert JUDGE.false_alarms(ready({5: 503}), kinds) != []
    assert JUDGE.false_alarms(ready({5: 200, 14: 503, 23: 503}), kinds) != []


def test_failure_beside_the_core_work_needs_a_warning_and_no_more() -> None:
    kinds = [kind("read", {0: 200, 20: 200}), kind("stock", {0: 500, 19: 500, 20: 200}, core=False)]
    assert JUDGE.lies(ready({10: 200}), kinds) != []
    assert JUDGE.lies(ready({10: 200}, warning=True), kinds) == []
    assert JUDGE.false_alarms(ready({10: 503}), kinds) != []


def alternating(period: int) -> list[Kind]:
    """Return two kinds of which every n-th request fails, each at other times, for 20 s."""
    times = [number / 4 for number in range(80)]
    return [
        kind(name, {at: 500 if (at * 4 + shift) % period == 0 else 200 for at in times})
        for shift, name in enumerate(("read", "page"))
    ]


def test_half_of_the_requests_fails_only_in_a_whole_window_with_a_minimum() -> None:
    [read, _] = alternating(2)
    assert half_fails(read.responses, 10)
    assert not half_fails(read.responses, 9)
    assert half_fails(read.responses, 25)
    assert not half_fails(read.responses, 26)


def test_every_second_request_fails_and_ready_must_warn() -> None:
    kinds = alternating(2)
    green = dict.fromkeys(map(float, range(20)), 200)
    assert JUDGE.lies(ready(green), kinds) == [
        "ready was without a warning 7 times while half of them failed"
    ]
    assert JUDGE.lies(ready(green, warning=True), kinds) == []
    assert JUDGE.lies(ready(green), alternating(3)) == []


def test_ready_that_may_be_green_must_still_warn_when_half_of_the_requests_fail() -> None:
    failures = {float(second): 500 for second in range(30)}
    kinds = [kind(name, {**failures, 30.0: 200}) for name in ("read", "page")]
    green = dict.fromkeys(map(float, range(30)), 200)
    assert len(JUDGE.lies(ready(green), kinds)) == 2
    assert JUDGE.lies(ready(green, warning=True), kinds) != []
    assert JUDGE.lies(ready(green), kinds, green_is_right=True) == [
        "ready was without a warning 17 times while half of them failed"
    ]
    assert JUDGE.lies(ready(green, warning=True), kinds, green_is_right=True) == []


def test_two_failures_in_a_row_are_an_outage_and_a_warning_is_too_little() -> None:
    kinds = [kind("read", {0: 200, 10: 500, 19: 500, 20: 200}), *alternating(2)]
    assert JUDGE.lies(ready({15: 200}, warning=True), kinds) != []
