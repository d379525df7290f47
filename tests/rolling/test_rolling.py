"""A deployment of a generated service: what rolling it costs its clients, and what restarts it.

Its numbers, from the probes' periods to the grace period, are those that the chart renders.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from chart.helm import Chart
from project import TEMPLATE, generate_in

from tools.generate import ROOT, environment, set_up

from .clock import PROPAGATION, scaled

pytestmark = pytest.mark.service

DETECTION = 5 + 3 * 0.5 + 0.3
"""Seconds in which an idle service notices: an interval, three timeouts, the back-off between."""
RECOVERY = 2.0
SLACK = 1.5
"""Seconds by which a busy machine may be late."""
GUARD = [sys.executable, "-I", "-S", str(TEMPLATE / "dev" / "guard.py"), "2", "30"]
"""Runs a command until its end, or ours: then by SIGINT, so that it ends what it has started."""

Seen = dict[str, Any]


class Rehearsal:
    """A generated service that is set up, and the pod that its chart makes of it."""

    def __init__(self, folder: Path) -> None:
        self.service = generate_in(folder)
        set_up(self.service)
        objects = Chart(self.service / "deploy" / "chart").objects()
        (self.deployment,) = (each for each in objects if each["kind"] == "Deployment")
        spec = self.deployment["spec"]["template"]["spec"]
        source = spec["containers"][0]["envFrom"][0]["configMapRef"]["name"]
        (settings,) = (
            each["data"]
            for each in objects
            if each["kind"] == "ConfigMap" and each["metadata"]["name"] == source
        )
        self.pod = folder / "pod.json"
        self.pod.write_text(json.dumps({"spec": spec, "settings": settings}), "utf-8")

    def play(self, scenario: str) -> Seen:
        """Play a scenario of `rolling.__main__`, and return what it saw."""
        python = self.service / ".venv" / "bin" / "python"
        with subprocess.Popen(
            [*GUARD, str(python), "-m", "rolling", scenario, str(self.pod)],
            cwd=self.service,
            env=environment() | {"PYTHONPATH": str(ROOT / "tests")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as playing:
            assert playing.stdin
            assert playing.stdout
            try:
                told = playing.stdout.read()
            finally:
                playing.stdin.close()
                playing.wait()  # also when we are interrupted: it ends what it has started
        assert playing.returncode == 0
        seen: Seen = json.loads(told)
        print(json.dumps(seen, indent=1))  # noqa: T201 - pytest shows it when a test fails
        return seen


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    return Rehearsal(tmp_path_factory.mktemp("rolling"))


@pytest.fixture(scope="module")
def rolled(rehearsal: Rehearsal) -> Seen:
    return rehearsal.play("safely")


@pytest.fixture(scope="module")
def frozen(rehearsal: Rehearsal) -> Seen:
    return rehearsal.play("frozen")


def test_the_chart_rolls_as_the_rehearsal_does(rehearsal: Rehearsal) -> None:
    assert rehearsal.deployment["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
    }


def test_no_request_is_lost_while_replicas_are_rolled(rolled: Seen) -> None:
    assert rolled["lost"] == []
    assert sum(rolled["asked"].values()) > 2000
    assert all(rolled["asked"].values())
    assert rolled["crossed"] < 3  # it takes a request and a close in the same moment


def test_what_was_written_while_replicas_were_rolled_is_there_once(rolled: Seen) -> None:
    assert rolled["created"] > 500
    assert (rolled["missing"], rolled["repeated"]) == ([], [])


def test_every_process_that_was_rolled_left_in_time_and_in_order(rolled: Seen) -> None:
    assert rolled["statuses"] == [0] * 21
    assert (rolled["killed"], rolled["restarts"]) == (0, 0)


def test_as_many_replicas_as_ever_were_ready_while_they_were_rolled(rolled: Seen) -> None:
    assert rolled["fewest"] == 3


def test_without_a_drain_and_a_wait_before_it_requests_are_lost(rehearsal: Rehearsal) -> None:
    seen = rehearsal.play("carelessly")
    assert any("reads on a connection each: ConnectionRefused" in each for each in seen["lost"])


def test_a_frozen_database_takes_replicas_out_of_the_way_and_restarts_none(frozen: Seen) -> None:
    asked = scaled(5) + PROPAGATION
    assert frozen["emptied"] < DETECTION + asked + SLACK
    assert set(frozen["live"]) == {200}
    assert frozen["filled"] < RECOVERY + asked + SLACK
    assert (frozen["restarts"], frozen["same"]) == (0, True)


def test_a_process_that_is_frozen_itself_is_restarted(frozen: Seen) -> None:
    assert (frozen["wedged"], frozen["killed"], frozen["others"]) == (1, 1, 0)
