"""Prometheus and Alertmanager with the shipped configuration, on loopback and with short waits."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from dev.ports import free_port
from dev.process import Process

from ..processes import Service, wait_until
from ..tools import tool
from .alerting import RULES, SERVICE

ROUTING = RULES.parents[1] / "alertmanager" / "alertmanager.yaml"


def with_short_waits(text: str) -> str:
    """Return rules or a routing with every wait replaced by 1 s."""
    waits = r"\b(interval|for|group_wait|group_interval): \w+$"
    return re.sub(waits, r"\1: 1s", text, flags=re.MULTILINE)


@contextmanager
def prometheus(folder: Path, service: Service, alertmanager: str = "") -> Iterator[httpx.Client]:
    """Scrape the service every second, with the shipped rules and short waits.

    alertmanager: its URL, if one is used. Yields a client for the API of Prometheus.
    """
    rules = folder / "rules"
    rules.mkdir()
    for path in RULES.glob("*.yaml"):
        (rules / path.name).write_text(with_short_waits(path.read_text()))
    target = f"127.0.0.1:{service.management.base_url.port}"
    scrape = {"job_name": SERVICE, "static_configs": [{"targets": [target]}]}
    receiver = {"static_configs": [{"targets": [alertmanager.removeprefix("http://")]}]}
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules / "*.yaml")],
        "scrape_configs": [scrape],
        "alerting": {"alertmanagers": [receiver] if alertmanager else []},
    }
    (folder / "prometheus.json").write_text(json.dumps(config))  # JSON is also YAML
    port = free_port()
    arguments = [
        f"--config.file={folder / 'prometheus.json'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(tool("prometheus"), arguments, folder / "prometheus.log", port) as api:
        yield api


@contextmanager
def alertmanager(folder: Path, webhook: str) -> Iterator[httpx.Client]:
    """Route alerts with the shipped routing to the paths `/pager` and `/ticket` of `webhook`."""
    receivers = {
        "http://pager.example/alerts": f"{webhook}/pager",
        "http://tickets.example/alerts": f"{webhook}/ticket",
    }
    text = with_short_waits(ROUTING.read_text())
    for shipped, replacement in receivers.items():
        assert shipped in text
        text = text.replace(shipped, replacement)
    (folder / "alertmanager.yaml").write_text(text)
    port = free_port()
    arguments = [
        f"--config.file={folder / 'alertmanager.yaml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    program = tool("prometheus-alertmanager", "alertmanager")
    with running(program, arguments, folder / "alertmanager.log", port) as api:
        yield api


@contextmanager
def running(program: str, arguments: list[str], log: Path, port: int) -> Iterator[httpx.Client]:
    """Run a server while the context is open."""
    with (
        log.open("wb") as output,
        Process([program, *arguments], output=output) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as api,
    ):
        wait_until(lambda: process.status is not None or api.get("/-/ready").status_code == 200)
        assert process.status is None, log.read_text()
        yield api


def query(prometheus: httpx.Client, expression: str) -> list[dict[str, Any]]:
    """Return the current result of an expression. An invalid one fails with Prometheus's error."""
    response = prometheus.get("/api/v1/query", params={"query": expression})
    assert response.status_code == 200, response.text
    result: list[dict[str, Any]] = response.json()["data"]["result"]
    return result
