"""In an outage of the database nothing is restarted, and clients get what the impact specifies.

`docs/which-impact.md` of a service has the figures of a longer outage: `make outages` measures
them.
"""

from collections.abc import Callable
from functools import cache

import pytest

from .compare import VARIANTS
from .deployed_service import DeployedService, Results
from .environment import REPLICAS
from .outage import DATABASE, NOTHING, group_name

pytestmark = [pytest.mark.service, pytest.mark.timeout(900)]

SECONDS = 15.0
SPEEDUP = 5.0
SUCCESSES = {"200", "201"}
"""Some requests wait until the database is back."""
UNAVAILABLE = {"503 with Retry-After", "504"}
PLAYED = [
    "frozen | fail",
    "frozen | warn",
    "stopped | warn",
    "cut off | fail",
    "cut off | warn",
]
Play = Callable[[str], Results]


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Play:
    """Return a function that plays a variant once, and returns its results."""
    deployed = DeployedService(tmp_path_factory.mktemp("outages"))
    variants = {str(variant): variant for variant in VARIANTS}
    return cache(lambda name: variants[name].run(deployed, SECONDS, SPEEDUP))


def groups(results: Results, needs: str) -> list[Results]:
    """Return the requests on new and on reused connections, sent after the detection."""
    return [results["detected"][group_name(needs, keep_alive=each)] for each in (False, True)]


@pytest.mark.parametrize("variant", PLAYED)
def test_an_outage_restarts_no_replica_and_requests_succeed_after_it(
    play: Play, variant: str
) -> None:
    results = play(variant)  # it waits until requests succeed again
    assert (results["restarts"], results["same_processes"]) == (0, True)
    assert results["live_codes"] == [200]


def test_impact_fail_refuses_every_new_connection_while_all_replicas_lack_the_database(
    play: Play,
) -> None:
    results = play("frozen | fail")
    assert results["endpoints"] == 0
    for needs in (DATABASE, NOTHING):
        new, _ = groups(results, needs)
        assert set(new["outcomes"]) == {"ConnectionRefusedError"}


@pytest.mark.parametrize("variant", ["frozen | warn", "stopped | warn"])
def test_impact_warn_keeps_serving_requests_that_need_no_database(play: Play, variant: str) -> None:
    results = play(variant)
    assert results["endpoints"] == REPLICAS
    for requests in groups(results, NOTHING):
        assert requests["succeeded"] == requests["requests"] > 0
    for requests in groups(results, DATABASE):
        assert set(requests["outcomes"]) - SUCCESSES <= UNAVAILABLE


def test_impact_warn_answers_503_with_retry_after_if_the_database_refuses_connections(
    play: Play,
) -> None:
    for requests in groups(play("stopped | warn"), DATABASE):
        assert set(requests["outcomes"]) - SUCCESSES == {"503 with Retry-After"}


def test_impact_fail_routes_new_connections_past_the_one_replica_that_lacks_the_database(
    play: Play,
) -> None:
    results = play("cut off | fail")
    assert results["endpoints"] == REPLICAS - 1
    new, _ = groups(results, DATABASE)
    assert new["succeeded"] == new["requests"] > 0


def test_clients_that_reuse_connections_leave_the_replica_that_is_not_ready(play: Play) -> None:
    _, reused = groups(play("cut off | fail, short timeouts"), DATABASE)
    assert reused["succeeded"] > 0.9 * reused["requests"]  # otherwise a third of them fails


def test_impact_warn_keeps_routing_to_the_one_replica_that_lacks_the_database(play: Play) -> None:
    results = play("cut off | warn")
    assert results["endpoints"] == REPLICAS
    new, _ = groups(results, DATABASE)
    assert 0 < new["succeeded"] < new["requests"]
