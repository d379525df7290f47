"""Shows the drill to a person: a live line at a terminal, a line at each change anywhere else."""

import os
import re
import shutil
import textwrap
from collections.abc import Sequence
from typing import TextIO

from dev.drill.runner import Outcome
from dev.drill.snapshot import NO_ANSWER, Look
from dev.drill.step import Step

BOLD, RED, GREEN, YELLOW, MAGENTA = 1, 31, 32, 33, 35
COLOURS = {"200 warn": YELLOW, "200": GREEN, "503": RED, "504": MAGENTA, NO_ANSWER: RED}
"""Each word says by itself what its colour says."""
WORD = re.compile("|".join(COLOURS))
WIDTH = 78
REWRITE = "\r\x1b[K"
"""To the beginning of the line, and clear it: ECMA-48, CR and EL."""


class Screen:
    """Writes to a stream as its terminal can, and as its user likes it.

    A NO_COLOR that is not empty spares the colours (https://no-color.org), TERM=dumb the live line
    too.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_live = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._has_colours = self._is_live and not os.environ.get("NO_COLOR")
        self._phase = ""
        self._shown = ""

    def say(self, text: str) -> None:
        """Write a paragraph, however its lines are broken."""
        self._write(textwrap.fill(" ".join(text.split()), WIDTH) + "\n")

    def announce(self, step: Step, place: str) -> None:
        """Say what comes and what will be seen. place: of the step among all, as "2/9"."""
        self._write("\n" + self._paint(f"{place}  {step.title}", BOLD) + "\n")
        self.say(step.story)

    def show(self, look: Look, phase: str, seconds: float) -> None:
        """Show a look, taken in a phase that is so many seconds old."""
        answers = f"  startup {look.startup}  ready {look.ready}  live {look.live}"
        faults = ", ".join(look.faults)
        text = f"{answers}  {phase} {seconds:.1f} s  {faults}".rstrip()
        if self._is_live:
            text = text[: shutil.get_terminal_size().columns - 1]  # else it would wrap
            head, tail = text[: len(answers)], text[len(answers) :]
            head = WORD.sub(lambda word: self._paint(word[0], COLOURS[word[0]]), head)
            below = "\n" if self._phase not in {"", phase} else ""  # the former phase stays
            self._write(below + REWRITE + head + tail)
        elif self._shown != (shown := f"{answers} {phase} {faults}"):
            self._shown = shown
            self._write(f"{text}\n")
        self._phase = phase

    def tell(self, outcome: Outcome) -> None:
        """Say what came of a step."""
        if self._is_live and self._phase:
            self._write("\n")
        self._phase = self._shown = ""
        if outcome.missed:
            sentence = f"NOT as told: {'; '.join(outcome.missed)}."
            self._write(f"  {self._paint(sentence, RED)}\n")
        else:
            turned = f"turned after {outcome.turned:.1f} s"
            back = f"back {outcome.back:.1f} s after it was mended"
            self._write(f"  {self._paint('As told:', GREEN)} {turned}, {back}.\n")

    def sum_up(self, outcomes: Sequence[Outcome]) -> None:
        """Write the table of all."""
        width = max(len(outcome.step.title) for outcome in outcomes)
        self._write(self._paint(f"\n{'':{width}}  ready      turned    back\n", BOLD))
        for outcome in outcomes:
            times = "  ".join(
                "  never" if seconds is None else f"{seconds:5.1f} s"
                for seconds in (outcome.turned, outcome.back)
            )
            row = f"{outcome.step.title:{width}}  {outcome.step.ready:9}  {times}"
            seen = self._paint("NOT as told", RED) if outcome.missed else "as told"
            self._write(f"{row}  {seen}\n")

    def _paint(self, text: str, colour: int) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._has_colours else text

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
