"""Break each dependency in turn, and watch the probes: to learn what they mean.

python -m dev.drill                every step
python -m dev.drill TEXT [...]     the steps that have one of the texts in their title

The service and its servers are the drill's own, in a temporary folder and on free ports: it runs
beside whatever runs, and touches nothing else. The exit status is 1 if something was not seen as
told. Ctrl-C ends it.
"""

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from dev.drill.environment import running, settings_of_ours
from dev.drill.runner import play
from dev.drill.step import Step
from dev.drill.steps import STEPS
from dev.drill.ui import Screen
from dev.process import StartError
from dev.servers import SERVERS

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
BAD_USAGE, INTERRUPTED = 2, 128 + signal.SIGINT


def main(texts: Sequence[str]) -> int:
    """Play the steps that are meant, and give the exit status."""
    for signum in SIGNALS:
        if signal.getsignal(signum) is not signal.SIG_IGN:  # as nohup leaves it
            signal.signal(signum, _interrupt)
    os.chdir(Path(__file__).resolve().parents[2])
    meant = [
        step
        for step in STEPS
        if not texts or any(text.lower() in step.title.lower() for text in texts)
    ]
    if not meant:
        titles = "\n  ".join(step.title for step in STEPS)
        print(f"No step has that in its title. There are:\n  {titles}", file=sys.stderr)
        return BAD_USAGE
    try:
        return drill(meant, Screen(sys.stdout))
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):  # the terminal may be gone
            print()
        return INTERRUPTED


def drill(steps: Sequence[Step], screen: Screen) -> int:
    """Play steps on a stage of their own; give 0 if all was seen as told, else 1.

    Raises StartError if there is no stage to be had.
    """
    if ours := settings_of_ours():
        screen.say(f"Not used here: {', '.join(ours)}. The drill breaks only what is its own.")
    names = ", ".join(["the service", *(kind.name for kind in SERVERS)])
    outcomes = []
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="drill-"))
        screen.say(f"Starting on free ports, in a temporary folder: {names}.")
        stage = stack.enter_context(running(Path(folder)))
        for number, step in enumerate(steps, 1):
            screen.announce(step, f"{number}/{len(steps)}")
            outcomes.append(play(step, stage, screen.show))
            screen.tell(outcomes[-1])
            if outcomes[-1].back is None:
                break  # what is not well cannot be broken
    screen.sum_up(outcomes)
    as_told = sum(not outcome.missed for outcome in outcomes)
    screen.say(f"{as_told} of {len(steps)} steps were seen as told.")
    screen.say('What to do about each: README.md, "When a probe is red".')
    return 0 if as_told == len(steps) else 1


def _interrupt(_signum: int, _frame: FrameType | None) -> NoReturn:
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)  # nothing may interrupt the clearing up
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
