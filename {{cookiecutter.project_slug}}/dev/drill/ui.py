"""Shows the drill: a live line on a terminal, and one line per change in any other output."""

import os
import re
import shutil
import textwrap
from collections.abc import Sequence
from typing import TextIO

from dev.drill.runner import Outcome
from dev.drill.snapshot import NO_RESPONSE, ProbeSnapshot
from dev.drill.step import Step

BOLD, RED, GREEN, YELLOW, MAGENTA = 1, 31, 32, 33, 35
COLORS = {"200 warn": YELLOW, "200": GREEN, "503": RED, "504": MAGENTA, NO_RESPONSE: RED}
"""The color of each response. No information is in the color alone."""
RESPONSE = re.compile("|".join(COLORS))
WIDTH = 78
REWRITE_LINE = "\r\x1b[K"
"""Return to the beginning of the line and clear it: ECMA-48, CR and EL."""


class Console:
    """Writes to a stream, with the abilities of its terminal.

    A NO_COLOR that is not empty removes the colors (https://no-color.org). TERM=dumb also removes
    the live line.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_live = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._has_colors = self._is_live and not os.environ.get("NO_COLOR")
        self._phase = ""
        self._shown = ""

    def print(self, text: str) -> None:
        """Write a paragraph, wrapped at the width."""
        self._write(textwrap.fill(" ".join(text.split()), WIDTH) + "\n")

    def announce(self, step: Step, position: str) -> None:
        """Write the title and the description of a step. position: for example "2/9"."""
        self._write("\n" + self._color(f"{position}  {step.title}", BOLD) + "\n")
        self.print(step.description)

    def show(self, snapshot: ProbeSnapshot, phase: str, seconds: float) -> None:
        """Show a snapshot, with its phase and the seconds since the phase began."""
        probes = f"  startup {snapshot.startup}  ready {snapshot.ready}  live {snapshot.live}"
        failures = ", ".join(snapshot.failures)
        text = f"{probes}  {phase} {seconds:.1f} s  {failures}".rstrip()
        if self._is_live:
            text = text[: shutil.get_terminal_size().columns - 1]  # a longer line would wrap
            head, tail = text[: len(probes)], text[len(probes) :]
            head = RESPONSE.sub(lambda match: self._color(match[0], COLORS[match[0]]), head)
            new_line = "\n" if self._phase not in {"", phase} else ""  # keep the earlier phase
            self._write(new_line + REWRITE_LINE + head + tail)
        elif self._shown != (shown := f"{probes} {phase} {failures}"):
            self._shown = shown
            self._write(f"{text}\n")
        self._phase = phase

    def report(self, outcome: Outcome) -> None:
        """Write the outcome of a step."""
        if self._is_live and self._phase:
            self._write("\n")
        self._phase = self._shown = ""
        if outcome.errors:
            sentence = f"NOT as expected: {'; '.join(outcome.errors)}."
            self._write(f"  {self._color(sentence, RED)}\n")
        else:
            times = f"detected in {outcome.detected:.1f} s, recovered in {outcome.recovered:.1f} s"
            self._write(f"  {self._color('As expected:', GREEN)} {times}.\n")

    def summarize(self, outcomes: Sequence[Outcome]) -> None:
        """Write the table of all outcomes."""
        width = max(len(outcome.step.title) for outcome in outcomes)
        self._write(self._color(f"\n{'':{width}}  ready     detected  recovered\n", BOLD))
        for outcome in outcomes:
            times = "   ".join(
                "  never" if seconds is None else f"{seconds:5.1f} s"
                for seconds in (outcome.detected, outcome.recovered)
            )
            row = f"{outcome.step.title:{width}}  {outcome.step.ready:9} {times}"
            result = self._color("NOT as expected", RED) if outcome.errors else "as expected"
            self._write(f"{row}    {result}\n")

    def _color(self, text: str, color: int) -> str:
        return f"\x1b[{color}m{text}\x1b[0m" if self._has_colors else text

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
