"""Every panel shows something, of a service that is used and misused."""

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..processes import Service, wait_until
from .alerting import RULES, SERVICE
from .servers import query
from .watch import Watch, watching

SERVICE_DASHBOARD = RULES.parents[1] / "grafana" / "service.json"
DASHBOARDS = sorted(SERVICE_DASHBOARD.parent.glob("*.json"))
VARIABLES = {"$__rate_interval": "1m", "$service_id": SERVICE}


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
    """A service that is being used, and Prometheus, which watches it."""
    folder = tmp_path_factory.mktemp("dashboard")
    ended = threading.Event()
    with watching(folder, Service(environment, folder / "service.log")) as watch:
        using = threading.Thread(target=use, args=(watch.service, ended))
        using.start()
        try:
            yield watch
        finally:
            ended.set()
            using.join()


def use(service: Service, ended: threading.Event) -> None:
    while not ended.wait(0.1):
        with contextlib.suppress(httpx.TransportError):
            service.api.get("/items")
            service.api.get("/faults/raise/ValueError")


@pytest.mark.parametrize("expression", TARGETS)
def test_every_panel_has_data(watched: Watch, expression: str) -> None:
    details = watched.service.management.get("/health").json()
    if "health_check_" in expression and not details["checks"]:
        pytest.skip("without dependencies there are no checks")
    wait_until(lambda: shown(watched.prometheus, expression))


def shown(prometheus: httpx.Client, expression: str) -> list[dict[str, Any]]:
    """Return what there is to draw: NaN is nothing."""
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression
    return [each for each in query(prometheus, expression) if each["value"][1] != "NaN"]


def drawn(prometheus: httpx.Client, title: str) -> dict[str, float]:
    """Return the latest value of each line of a panel about checks, by the check's name."""
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
def test_no_panel_covers_another_one(path: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels(path):
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
    numbers = [panel["id"] for panel in panels(path)]
    assert len(set(numbers)) == len(numbers)


def test_the_panels_that_the_runbook_names_exist() -> None:
    runbook = (RULES.parents[2] / "docs" / "runbook.md").read_text()
    titles = {panel["title"] for path in DASHBOARDS for panel in panels(path)}
    named = set(re.findall(r"\*([A-Z][^*\n]+)\*", runbook))
    assert named
    assert named <= titles
