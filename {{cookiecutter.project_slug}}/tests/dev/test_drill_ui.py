"""How the drill compares snapshots with a step and shows them on a terminal or in a file."""

import io
import re
from dataclasses import replace

import pytest

from dev.drill.runner import Outcome, compare
from dev.drill.snapshot import NO_RESPONSE, ProbeSnapshot
from dev.drill.step import Step
from dev.drill.ui import Console

BEFORE = ProbeSnapshot(0, "200", "200", "200")
AFTER = ProbeSnapshot(1, "200", "504", "200", ("some: TimeoutError",))
FROZEN = ProbeSnapshot(1, NO_RESPONSE, NO_RESPONSE, NO_RESPONSE)
STEP = Step("Something hangs", "", lambda _: None, lambda _: None, ready="504", reason="some: ")


def test_each_difference_from_the_step_is_an_error() -> None:
    assert [*compare(STEP, [BEFORE, AFTER])] == []
    assert [*compare(STEP, [BEFORE])] == [
        "ready never responded 504, only 200",
        "?verbose never showed some: , only passes",
    ]
    assert [*compare(replace(STEP, reason="other: "), [AFTER])] == [
        "?verbose never showed other: , only some: TimeoutError"
    ]
    assert [*compare(replace(STEP, live=NO_RESPONSE), [AFTER])] == [
        "startup and live did not respond no response, but 200"
    ]


def test_live_may_be_late_once_but_must_not_fail() -> None:
    assert [*compare(STEP, [AFTER, FROZEN])] == []
    red = replace(AFTER, live="503")
    assert [*compare(STEP, [AFTER, red, red, red])] == [
        "startup and live did not respond 200, but 200 and 503"
    ]
    frozen = replace(STEP, ready=NO_RESPONSE, live=NO_RESPONSE, reason="")
    assert [*compare(frozen, [BEFORE, FROZEN, FROZEN])] == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    """Return what a console writes about a step that is detected after 6.4 s."""
    for name, value in {"TERM": "xterm", "NO_COLOR": "", "COLUMNS": "80", **variables}.items():
        monkeypatch.setenv(name, value)
    console = Console(stream)
    console.show(BEFORE, "broken", 0.2)
    console.show(BEFORE, "broken", 0.4)
    console.show(AFTER, "broken", 6.4)
    console.show(BEFORE, "repaired", 0.9)
    console.report(Outcome(STEP, 6.4, 0.9))
    return stream.getvalue()


CHANGES = """\
  startup 200  ready 200  live 200  broken 0.2 s
  startup 200  ready 504  live 200  broken 6.4 s  some: TimeoutError
  startup 200  ready 200  live 200  repaired 0.9 s
  As expected: detected in 6.4 s, recovered in 0.9 s.
"""


def test_a_terminal_redraws_one_colored_line_per_phase(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = shown(Terminal(), monkeypatch)

    assert "ready \x1b[32m200\x1b[0m" in text
    assert "ready \x1b[35m504\x1b[0m" in text
    drawn = re.sub(r"\x1b\[\d+m", "", text).split("\n")
    assert [line.count("\r\x1b[K") for line in drawn] == [3, 1, 0, 0]
    assert [line.rpartition("\r\x1b[K")[2] for line in drawn] == CHANGES.split("\n")[1:]


def test_lines_fit_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(Terminal(), monkeypatch, COLUMNS="20", NO_COLOR="1")
    lines = re.split("\r\x1b\\[K|\n", text.partition("  As expected")[0])
    assert max(map(len, lines)) == 19


def test_no_color_redraws_without_colors(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(Terminal(), monkeypatch, NO_COLOR="1")
    assert "\r\x1b[K  startup 200  ready 504" in text
    assert not re.search(r"\x1b\[\d+m", text)


def test_a_dumb_terminal_and_a_file_get_one_line_per_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert shown(Terminal(), monkeypatch, TERM="dumb") == CHANGES
    assert shown(io.StringIO(), monkeypatch) == CHANGES
