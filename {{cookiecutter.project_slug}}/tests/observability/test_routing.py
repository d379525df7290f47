"""Who is told of an alert, and which alerts silence others."""

import subprocess
from pathlib import Path

import pytest

from ..tools import tool

ROUTING = Path(__file__).parents[2] / "deploy" / "alertmanager" / "alertmanager.yaml"


def amtool(*arguments: str) -> str:
    command = [tool("amtool", package="prometheus-alertmanager"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_alertmanager_takes_the_routing() -> None:
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
def test_pages_wake_somebody_and_all_else_waits(labels: list[str], receiver: str) -> None:
    config = f"--config.file={ROUTING}"
    assert amtool("config", "routes", "test", config, *labels, "alertname=A").strip() == receiver
