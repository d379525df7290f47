"""What the drill makes of what it sees, and how it shows that to a person or a file."""

import io
import re
from dataclasses import replace

import pytest

from dev.drill.runner import Outcome, compare
from dev.drill.snapshot import NO_ANSWER, Look
from dev.drill.step import Step
from dev.drill.ui import Screen

FAULTS = ("some: TimeoutError",)
BEFORE, AFTER = Look(0, "200", "200", "200"), Look(1, "200", "504", "200", FAULTS)
FROZEN = Look(1, NO_ANSWER, NO_ANSWER, NO_ANSWER)
TOLD = Step("Something hangs", "", lambda _: None, lambda _: None, ready="504", names="some: ")


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
