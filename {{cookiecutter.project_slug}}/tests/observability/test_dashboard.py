"""Every panel has data while a service is used, with successful and failing requests."""

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..domain import PATH
from ..processes import Service, wait_until
from .alerting import RULES, SERVICE
from .servers import query
from .watch import Watch, watching

SERVICE_DASHBOARD = RULES.parents[1] / "grafana" / "service.json"
DASHBOARDS = sorted(SERVICE_DASHBOARD.parent.glob("*.json"))
VARIABLES = {"$__rate_interval": "1m", "$service_id": SERVICE, "$cluster": ".*", "$namespace": ".*"}


def panels(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())["panels"]
    return found


TARGETS = [
    pytest.param(target["expr"], id=f"{path.stem}, {panel['title']}, {target['legendFormat']}")
    for path in DASHBOARDS
    for panel in panels(path)
    for target in panel.get("targets", ())
]


@pytest.fixture(scope="module")
def watched(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watch]:
    """Run the chain while a thread sends requests to the service."""
    folder = tmp_path_factory.mktemp("dashboard")
    ended = threading.Event()
    with watching(folder, Service(environment, folder / "service.log")) as watch:
        sender = threading.Thread(target=send_requests, args=(watch.service, ended))
        sender.start()
        try:
            yield watch
        finally:
            ended.set()
            sender.join()


def send_requests(service: Service, ended: threading.Event) -> None:
    while not ended.wait(0.1):
        with contextlib.suppress(httpx.TransportError):
            service.api.get(PATH)
            service.api.get("/faults/raise/ValueError")


@pytest.mark.parametrize("expression", TARGETS)
def test_every_panel_has_data(watched: Watch, expression: str) -> None:
    health = watched.service.management.get("/health").json()
    if "health_check_" in expression and not health["checks"]:
        pytest.skip("a service without dependencies has no checks")
    wait_until(lambda: shown(watched.prometheus, expression))


def shown(prometheus: httpx.Client, expression: str) -> list[dict[str, Any]]:
    """Return the series that a panel shows; NaN counts as missing."""
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression
    return [each for each in query(prometheus, expression) if each["value"][1] != "NaN"]


def drawn(prometheus: httpx.Client, title: str) -> dict[str, float]:
    """Return the latest value of each line of a panel about checks, by the name of the check."""
    [expression] = [
        target["expr"]
        for panel in panels(SERVICE_DASHBOARD)
        if panel["title"] == title
        for target in panel.get("targets", ())
    ]
    return {
        each["metric"]["check"]: float(each["value"][1]) for each in shown(prometheus, expression)
    }


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_panel_selects_cluster_namespace_and_service(path: Path) -> None:
    chosen = 'cluster=~"$cluster",namespace=~"$namespace",service_id="$service_id"'
    dashboard = json.loads(path.read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            assert target["expr"].count("$service_id") == target["expr"].count(chosen) > 0
    names = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert names == ["datasource", "cluster", "namespace", "service_id"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_do_not_overlap(path: Path) -> None:
    occupied: set[tuple[int, int]] = set()
    for panel in panels(path):
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & occupied, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        occupied |= cells
    numbers = [panel["id"] for panel in panels(path)]
    assert len(set(numbers)) == len(numbers)


def test_panels_named_in_runbook_exist() -> None:
    runbook = (RULES.parents[2] / "docs" / "runbook.md").read_text()
    titles = {panel["title"] for path in DASHBOARDS for panel in panels(path)}
    named = set(re.findall(r"(?<!\*)\*([A-Z][^*\n]+)\*(?!\*)", runbook))
    assert named
    assert named <= titles
