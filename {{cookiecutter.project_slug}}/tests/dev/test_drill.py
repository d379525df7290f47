"""The drill, `python -m dev.drill`: each step is as expected, and nothing is left afterwards."""

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
from dev.drill import STEPS
from dev.drill.__main__ import drill
from dev.drill.environment import Environment
from dev.drill.snapshot import HEALTHY
from dev.drill.step import Step
from dev.drill.ui import Console
from dev.servers import SERVERS

from ..processes import wait_until

PROJECT = Path(__file__).parents[2]
TITLES = [step.title for step in STEPS]


class Drill:
    """One run of the drill. The waiting methods record every process that it starts."""

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

    def prints(self, text: str) -> None:
        """Wait until the text is in its output."""
        wait_until(lambda: text in self.log.read_text() or self._has_ended(), within=90)
        assert text in self.log.read_text()

    def ends_with(self, within: float) -> int:
        """Wait for the end, check that no process and no file is left, and return the status."""
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


@pytest.mark.timeout(300)
def test_every_step_is_as_expected_within_three_minutes(tmp_path: Path) -> None:
    """Under CI, every step; otherwise the first and the last."""
    titles = TITLES if os.environ.get("CI") else [TITLES[0], TITLES[-1]]
    variables = [kind.variable for kind in SERVERS] + ["SERVICE_PORT", "HEALTH_CHECK_TIMEOUT"]
    data = sorted(PROJECT.glob(".data/*"))

    run = Drill(tmp_path, *titles, **dict.fromkeys(variables, "from the caller"))

    status = run.ends_with(within=180)
    output = run.log.read_text()
    assert status == 0, output
    rows = re.findall(r"^(.+?) {2,}\S.* as expected$", output, re.MULTILINE)
    assert rows == titles
    assert re.findall(rf"\b(?:{'|'.join(variables)})\b", output) == sorted(variables)
    assert len(run.pids) > len(SERVERS)
    assert sorted(PROJECT.glob(".data/*")) == data


@pytest.mark.parametrize(
    ("moment", "signum"), [("Starting", signal.SIGINT), ("broken", signal.SIGTERM)]
)
def test_a_signal_ends_it(tmp_path: Path, moment: str, signum: signal.Signals) -> None:
    """A server that is starting comes up first, which takes a while on a busy machine."""
    interrupted = Drill(tmp_path, TITLES[0])
    interrupted.prints(moment)

    interrupted.process.send_signal(signum)

    assert interrupted.ends_with(within=40) == 128 + signal.SIGINT
    assert "Traceback" not in interrupted.log.read_text()


def test_a_text_that_no_title_contains_prints_the_titles(tmp_path: Path) -> None:
    run = Drill(tmp_path, "no such step")

    assert run.ends_with(within=30) == 2
    assert run.log.read_text().split("\n  ")[1:] == [*TITLES[:-1], f"{TITLES[-1]}\n"]


def test_a_step_that_is_not_as_expected_makes_the_status_1() -> None:
    def fail(_: Environment) -> None:
        raise RuntimeError("there is nothing to repair")

    step = Step("Nothing", "", lambda _: None, fail, HEALTHY, "some: Failure")
    output = io.StringIO()

    assert drill([step], Console(output)) == 1

    missing = "?verbose never showed some: Failure, only passes"
    raised = "RuntimeError: there is nothing to repair"
    assert f"  NOT as expected: {missing}; {raised}.\n" in output.getvalue()
    assert "\n0 of 1 steps were as expected.\n" in output.getvalue()
