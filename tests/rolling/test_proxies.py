"""A rolling deployment behind nginx, HAProxy or Envoy loses no request that they repeat.

The configurations are those of the page "Run behind a proxy". `make proxies` rolls longer.
"""

import os

import pytest
from project import TEMPLATE

from .compare_proxies import StreamingService, installed_programs, rows
from .deployed_service import Results
from .proxies import FIRST, KINDS, PAGE, Kind
from .proxy_clients import CLIENT_KINDS

ROLLS = 2
TIME_LIMIT = 60.0
"""Seconds after which a busy machine begins no further roll."""
RATE = 10.0
"""Requests per second of each of five proxies and of the control."""
DEFAULTS, PAGE_RETRIES = False, True
UNREPEATED = {
    ("nginx", DEFAULTS): ({"POST", "uploads"}, {"502"}),
    ("Envoy", DEFAULTS): ({kind.name for kind in CLIENT_KINDS}, {"503"}),
}
"""What a proxy does not repeat on a connection that was just closed, and its answer.

A hundred rolls lost 1 and 24 of 6,022 requests so. Whatever the proxy repeats must succeed.
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> StreamingService:
    return StreamingService(tmp_path_factory.mktemp("proxied"))


@pytest.fixture(scope="module")
def drained(service: StreamingService) -> Results:
    """Return the results of all installed proxies, with their defaults and as on the page."""
    results = service.roll(
        installed_programs(),
        (DEFAULTS, PAGE_RETRIES),
        rolls=ROLLS,
        rate=RATE,
        drain=True,
        time_limit=TIME_LIMIT,
    )
    return skip_unless_counted(results)


def skip_unless_counted(results: Results) -> Results:
    if not results["counted"]:
        pytest.skip("the machine is too busy: see `rolling.proxied` for what a roll needs")
    return results


def require(name: str) -> None:
    if name not in installed_programs():
        reason = f"{name} is not installed"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)


@pytest.mark.service
@pytest.mark.parametrize("name", KINDS)
def test_rolling_update_behind_a_proxy_loses_only_what_it_does_not_repeat(
    request: pytest.FixtureRequest, name: str
) -> None:
    require(name)
    results: Results = request.getfixturevalue("drained")
    found = [each for each in results["proxies"] if each["proxy"] == name]
    assert found
    for each in found:
        kinds, answers = UNREPEATED.get((name, each["retries"]), (set(), set()))
        assert each["lost"].keys() <= kinds, each["lost"]
        assert all(outcomes.keys() <= answers for outcomes in each["lost"].values())
        assert each["requests"] > 20
        assert (each["missing"], each["duplicates"]) == ([], [])


@pytest.mark.service
def test_rolling_update_without_drain_loses_requests_behind_a_proxy_that_does_not_retry(
    service: StreamingService,
) -> None:
    require("Envoy")
    envoys = {"Envoy": installed_programs()["Envoy"]}
    results = service.roll(
        envoys, (DEFAULTS,), rolls=ROLLS, rate=40, drain=False, time_limit=TIME_LIMIT
    )
    (envoy,) = skip_unless_counted(results)["proxies"]
    assert sum(count for lost in envoy["lost"].values() for count in lost.values())


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_page_shows_a_configuration_with_defaults_or_retries_of_each_proxy(kind: Kind) -> None:
    page = (TEMPLATE / PAGE).read_text("utf-8")
    for retries in (DEFAULTS, PAGE_RETRIES):
        text = kind.adapted(kind.block(page, retries=retries), 81, [8001, 8002, 8003], speedup=5)
        assert FIRST not in text
        assert all(str(port) in text for port in (81, 8001, 8002, 8003))


def test_configuration_without_the_expected_addresses_is_rejected() -> None:
    kind = KINDS["nginx"]
    with pytest.raises(ValueError, match="does not show"):
        kind.adapted("server 10.0.0.11:8000;", 81, [8001], speedup=5)


def test_each_proxy_and_each_loss_has_its_place_in_the_table() -> None:
    proxy = {"proxy": "nginx", "retries": False, "requests": 9, "lost": {"GET": {"502": 2}}}
    assert list(rows({"proxies": [proxy]}, drain=True)) == [
        "| nginx | its defaults | yes | 9 | 2 | 2 GET: 502 |"
    ]


def test_clients_of_every_kind_share_the_rate() -> None:
    assert sum(kind.share for kind in CLIENT_KINDS) == pytest.approx(1)
