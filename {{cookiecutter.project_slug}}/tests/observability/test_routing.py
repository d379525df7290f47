"""The routing of alerts: receivers, and which alerts mute others."""

import subprocess
from collections.abc import Iterator

import httpx
import pytest

from ..processes import wait_until
from ..tools import tool
from .servers import ROUTING, alertmanager

NOWHERE = "http://127.0.0.1:9"


def amtool(*arguments: str) -> str:
    command = [tool("amtool", package="prometheus-alertmanager"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_alertmanager_accepts_routing() -> None:
    amtool("check-config", str(ROUTING))


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["severity=page"], "pager"),
        (["severity=ticket"], "ticket"),
        (["severity=page", "service_id=orders", "symptom=latency"], "pager"),
        ([], "ticket"),
    ],
)
def test_page_goes_to_pager_and_other_alerts_to_ticket(labels: list[str], receiver: str) -> None:
    config = f"--config.file={ROUTING}"
    assert amtool("config", "routes", "test", config, *labels, "alertname=A").strip() == receiver


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with alertmanager(tmp_path_factory.mktemp("alertmanager"), NOWHERE) as api:
        yield api


def alert(
    name: str, severity: str, symptom: str, service: str, namespace: str = "production"
) -> dict[str, str]:
    return {
        "cluster": "a",
        "namespace": namespace,
        "alertname": name,
        "severity": severity,
        "symptom": symptom,
        "service_id": service,
    }


def muted(api: httpx.Client, service: str) -> dict[str, bool]:
    """Return whether each alert of a service is muted by another, by alert name."""
    matchers = [f'service_id="{service}"', 'namespace="production"']
    alerts = api.get("/api/v2/alerts", params={"filter": matchers}).json()
    return {a["labels"]["alertname"]: bool(a["status"]["inhibitedBy"]) for a in alerts}


@pytest.mark.parametrize(
    ("service", "alerts", "expected_muted"),
    [
        (
            "page-and-tickets",
            [
                ("Page", "page", "latency"),
                ("SameSymptom", "ticket", "latency"),
                ("OtherSymptom", "ticket", "event-loop"),
                ("OtherPage", "page", "latency"),
            ],
            {"SameSymptom"},
        ),
        (
            "down",
            [
                ("ServiceDown", "page", "down"),
                ("HealthCheckFailing", "page", "health"),
                ("InstanceDown", "ticket", "down"),
                ("EventLoopLagHigh", "ticket", "event-loop"),
            ],
            {"HealthCheckFailing", "InstanceDown", "EventLoopLagHigh"},
        ),
        (
            "another",
            [("HealthCheckFailing", "page", "health"), ("SlowRequests", "ticket", "latency")],
            set(),
        ),
    ],
)
def test_page_mutes_related_alerts_of_its_own_service(
    running: httpx.Client,
    service: str,
    alerts: list[tuple[str, str, str]],
    expected_muted: set[str],
) -> None:
    # Another service, and the same service in another namespace, have pages with the same symptoms.
    # They must not mute alerts of this one.
    posted = [alert(*each, service) for each in alerts]
    elsewhere = [
        alert("ServiceDown", "page", symptom, *where)
        for symptom in ("latency", "event-loop")
        for where in (("elsewhere",), (service, "staging"))
    ]
    body = [{"labels": labels} for labels in [*posted, *elsewhere]]
    assert running.post("/api/v2/alerts", json=body).status_code == 200
    expected = {labels["alertname"]: labels["alertname"] in expected_muted for labels in posted}
    wait_until(lambda: muted(running, service) == expected)
