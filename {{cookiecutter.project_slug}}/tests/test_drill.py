"""The drill, `python -m dev.drill`: all is seen as it tells, and nothing is left of it."""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dev import guard
from dev.drill.__main__ import drill
from dev.drill.look import NO_ANSWER, WELL, Look
from dev.drill.play import Outcome, compare
from dev.drill.screen import Screen
from dev.drill.stage import Stage
from dev.drill.step import Step
from dev.drill.steps import STEPS
from dev.servers import SERVERS

from .processes import wait_until

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
        self.pids |= set(guard.descendants(self.process.pid))
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
def test_an_interruption_ends_it_at_once(
    tmp_path: Path, moment: str, signum: signal.Signals
) -> None:
    interrupted = Drill(tmp_path, TITLES[0])
    interrupted.says(moment)

    interrupted.process.send_signal(signum)

    assert interrupted.ends_with(within=10) == 128 + signal.SIGINT
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


FAULTS = ("some: TimeoutError",)
BEFORE, AFTER = Look(0, "200", "200", "200"), Look(1, "200", "504", "200", FAULTS)
FROZEN = Look(1, NO_ANSWER, NO_ANSWER, NO_ANSWER)
TOLD = replace(STEPS[-1], ready="504", names="some: ")


def test_what_is_seen_is_held_against_what_was_told() -> None:
    assert [*compare(TOLD, [BEFORE, AFTER])] == []
    assert [*compare(TOLD, [BEFORE])] == [
        "ready never answered 504, but 200",
        "?verbose never named some: , but nothing",
    ]
    assert [*compare(replace(TOLD, names="other: "), [AFTER])] == [
        "?verbose never named other: , but some: TimeoutError"
    ]
    assert [*compare(replace(TOLD, live=NO_ANSWER), [AFTER])] == [
        "startup and live did not answer no answer, but 200"
    ]


def test_live_may_be_late_once_but_not_go_red() -> None:
    assert [*compare(TOLD, [AFTER, FROZEN])] == []
    red = replace(AFTER, live="503")
    assert [*compare(TOLD, [AFTER, red, red, red])] == [
        "startup and live did not answer 200, but 200 and 503"
    ]
    frozen = replace(TOLD, ready=NO_ANSWER, live=NO_ANSWER, names="")
    assert [*compare(frozen, [BEFORE, FROZEN, FROZEN])] == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    """Return what a screen writes of a step that turned after 6.4 s."""
    for name, value in {"TERM": "xterm", "NO_COLOR": "", "COLUMNS": "80", **variables}.items():
        monkeypatch.setenv(name, value)
    screen = Screen(stream)
    screen.show(BEFORE, "broken", 0.2)
    screen.show(BEFORE, "broken", 0.4)
    screen.show(AFTER, "broken", 6.4)
    screen.show(BEFORE, "mended", 0.9)
    screen.tell(Outcome(TOLD, 6.4, 0.9))
    return stream.getvalue()


CHANGES = """\
  startup 200  ready 200  live 200  broken 0.2 s
  startup 200  ready 504  live 200  broken 6.4 s  some: TimeoutError
  startup 200  ready 200  live 200  mended 0.9 s
  As told: turned after 6.4 s, back 0.9 s after it was mended.
"""


def test_a_terminal_has_one_line_a_phase_which_is_redrawn_in_colour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = shown(Terminal(), monkeypatch)

    assert "ready \x1b[32m200\x1b[0m" in text
    assert "ready \x1b[35m504\x1b[0m" in text
    drawn = re.sub(r"\x1b\[\d+m", "", text).split("\n")
    assert [line.count("\r\x1b[K") for line in drawn] == [3, 1, 0, 0]
    assert [line.rpartition("\r\x1b[K")[2] for line in drawn] == CHANGES.split("\n")[1:]


def test_a_narrow_terminal_is_not_written_beyond(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(Terminal(), monkeypatch, COLUMNS="20", NO_COLOR="1")
    lines = re.split("\r\x1b\\[K|\n", text.partition("  As told")[0])
    assert max(map(len, lines)) == 19


def test_no_color_redraws_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(Terminal(), monkeypatch, NO_COLOR="1")
    assert "\r\x1b[K  startup 200  ready 504" in text
    assert not re.search(r"\x1b\[\d+m", text)


def test_a_dumb_terminal_and_a_file_get_a_line_at_each_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert shown(Terminal(), monkeypatch, TERM="dumb") == CHANGES
    assert shown(io.StringIO(), monkeypatch) == CHANGES
