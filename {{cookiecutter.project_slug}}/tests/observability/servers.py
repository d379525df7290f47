"""Prometheus and Alertmanager as they would run, but on loopback and in a hurry."""

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


def hurried(text: str) -> str:
    """Return rules or a routing in which everything that waits does so for a second."""
    waits = r"\b(interval|for|group_wait|group_interval): \w+$"
    return re.sub(waits, r"\1: 1s", text, flags=re.MULTILINE)


@contextmanager
def prometheus(folder: Path, service: Service, alertmanager: str = "") -> Iterator[httpx.Client]:
    """Scrape the service every second, with the rules as they are but for the times they wait.

    alertmanager: its URL, if there is one. Yields a client for Prometheus's API.
    """
    rules = folder / "rules"
    rules.mkdir()
    for path in RULES.glob("*.yaml"):
        (rules / path.name).write_text(hurried(path.read_text()))
    target = f"127.0.0.1:{service.management.base_url.port}"
    scrape = {"job_name": SERVICE, "static_configs": [{"targets": [target]}]}
    to = {"static_configs": [{"targets": [alertmanager.removeprefix("http://")]}]}
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules / "*.yaml")],
        "scrape_configs": [scrape],
        "alerting": {"alertmanagers": [to] if alertmanager else []},
    }
    (folder / "prometheus.json").write_text(json.dumps(config))  # which is YAML too
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
    """Route alerts to `webhook` as the routing says, below it `/pager` and `/ticket`."""
    receivers = {
        "http://pager.example/alerts": f"{webhook}/pager",
        "http://tickets.example/alerts": f"{webhook}/ticket",
    }
    text = hurried(ROUTING.read_text())
    for shipped, here in receivers.items():
        assert shipped in text
        text = text.replace(shipped, here)
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
    """Run a server until it is no longer needed."""
    with (
        log.open("wb") as output,
        Process([program, *arguments], output=output) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as api,
    ):
        wait_until(lambda: process.status is not None or api.get("/-/ready").status_code == 200)
        assert process.status is None, log.read_text()
        yield api


def query(prometheus: httpx.Client, expression: str) -> list[dict[str, Any]]:
    """Return what Prometheus finds for an expression, now. Raises what it says of a wrong one."""
    answer = prometheus.get("/api/v1/query", params={"query": expression})
    assert answer.status_code == 200, answer.text
    result: list[dict[str, Any]] = answer.json()["data"]["result"]
    return result
