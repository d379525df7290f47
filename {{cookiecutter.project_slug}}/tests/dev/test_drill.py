"""The drill, `python -m dev.drill`: all is seen as it tells, and nothing is left of it."""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dev import supervisor
from dev.drill.__main__ import drill
from dev.drill.environment import Stage
from dev.drill.snapshot import WELL
from dev.drill.step import Step
from dev.drill.steps import STEPS
from dev.drill.ui import Screen
from dev.servers import SERVERS

from ..processes import wait_until

PROJECT = Path(__file__).parents[1]
TITLES = [step.title for step in STEPS]


class Drill:
    """One run of it. Every process that it starts is noted while it is waited for."""

    def __init__(self, folder: Path, *texts: str, **variables: str) -> None:
        self.pids: set[int] = set()
        self.log = folder / "log"
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dev.drill", *texts],
                cwd=PROJECT,
                env=os.environ | {"TMPDIR": str(self.temporary)} | variables,
                stdout=output,
                stderr=output,
            )

    def says(self, text: str) -> None:
        """Wait until it has said so."""
        wait_until(lambda: text in self.log.read_text() or self._has_ended())
        assert text in self.log.read_text()

    def ends_with(self, within: float) -> int:
        """Wait for the end, after which no process and no file may be left; return the status."""
        wait_until(self._has_ended, within)
        wait_until(lambda: not any(map(is_alive, self.pids)))
        assert list(self.temporary.iterdir()) == []
        return self.process.returncode

    def _has_ended(self) -> bool:
        self.pids |= set(supervisor.descendants(self.process.pid))
        return self.process.poll() is not None


def is_alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_everything_is_seen_as_told_within_three_minutes(tmp_path: Path) -> None:
    """Every step under CI; elsewhere the first and the last."""
    titles = TITLES if os.environ.get("CI") else [TITLES[0], TITLES[-1]]
    variables = [kind.variable for kind in SERVERS] + ["SERVICE_PORT", "HEALTH_CHECK_TIMEOUT"]
    data = sorted(PROJECT.glob(".data/*"))

    played = Drill(tmp_path, *titles, **dict.fromkeys(variables, "of ours"))

    status = played.ends_with(within=180)
    said = played.log.read_text()
    assert status == 0, said
    rows = re.findall(r"^(.+?) {2,}\S.* as told$", said, re.MULTILINE)
    assert rows == titles
    assert re.findall(rf"\b(?:{'|'.join(variables)})\b", said) == sorted(variables)
    assert len(played.pids) > len(SERVERS)
    assert sorted(PROJECT.glob(".data/*")) == data


@pytest.mark.parametrize(
    ("moment", "signum"), [("Starting", signal.SIGINT), ("broken", signal.SIGTERM)]
)
def test_an_interruption_ends_it(tmp_path: Path, moment: str, signum: signal.Signals) -> None:
    """A server that is just starting comes up first: on a busy machine that takes its time."""
    interrupted = Drill(tmp_path, TITLES[0])
    interrupted.says(moment)

    interrupted.process.send_signal(signum)

    assert interrupted.ends_with(within=40) == 128 + signal.SIGINT
    assert "Traceback" not in interrupted.log.read_text()


def test_a_text_that_no_title_has_is_answered_with_the_titles(tmp_path: Path) -> None:
    asked = Drill(tmp_path, "no such step")

    assert asked.ends_with(within=30) == 2
    assert asked.log.read_text().split("\n  ")[1:] == [*TITLES[:-1], f"{TITLES[-1]}\n"]


def test_a_step_that_is_not_seen_as_told_makes_the_status_1() -> None:
    def cannot_mend(_: Stage) -> None:
        raise RuntimeError("there is nothing to mend")

    step = Step(
        "Nothing", "It is told of a fault.", lambda _: None, cannot_mend, WELL, "some: Fault"
    )
    output = io.StringIO()

    assert drill([step], Screen(output)) == 1

    missed = "?verbose never named some: Fault, but nothing; RuntimeError: there is nothing to mend"
    assert f"  NOT as told: {missed}.\n" in output.getvalue()
    assert "\n0 of 1 steps were seen as told.\n" in output.getvalue()
