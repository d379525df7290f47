"""Break each dependency in turn and watch the probes.

python -m dev.drill                every step
python -m dev.drill TEXT [...]     the steps whose titles contain one of the texts

The drill starts a service and servers of its own, in a temporary folder and on free ports. It
touches nothing else, so it can run beside anything. The exit status is 1 if a step was not as
expected. Ctrl-C ends it.
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

from dev.drill import STEPS
from dev.drill.environment import ignored_variables, running_environment
from dev.drill.runner import run_step
from dev.drill.step import Step
from dev.drill.ui import Console
from dev.process import StartError
from dev.servers import SERVERS

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
BAD_USAGE, INTERRUPTED = 2, 128 + signal.SIGINT


def main(texts: Sequence[str]) -> int:
    """Run the selected steps and return the exit status."""
    for signum in SIGNALS:
        if signal.getsignal(signum) is not signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(signum, _interrupt)
    os.chdir(Path(__file__).resolve().parents[2])
    selected = [
        step
        for step in STEPS
        if not texts or any(text.lower() in step.title.lower() for text in texts)
    ]
    if not selected:
        titles = "\n  ".join(step.title for step in STEPS)
        print(f"No title of a step contains that text. The steps are:\n  {titles}", file=sys.stderr)
        return BAD_USAGE
    try:
        return drill(selected, Console(sys.stdout))
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):  # the terminal can be gone
            print()
        return INTERRUPTED


def drill(steps: Sequence[Step], console: Console) -> int:
    """Run the steps in an environment of their own; return 0 if all were as expected, else 1.

    Raises StartError if the environment does not start.
    """
    if ignored := ignored_variables():
        console.print(f"Ignored here: {', '.join(ignored)}. The drill breaks only its own servers.")
    names = ", ".join(["the service", *(kind.name for kind in SERVERS)])
    outcomes = []
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="drill-"))
        console.print(f"Starting on free ports, in a temporary folder: {names}.")
        environment = stack.enter_context(running_environment(Path(folder)))
        for number, step in enumerate(steps, 1):
            console.announce(step, f"{number}/{len(steps)}")
            outcomes.append(run_step(step, environment, console.show))
            console.report(outcomes[-1])
            if outcomes[-1].recovered is None:
                break  # a step must start with a healthy service
    console.summarize(outcomes)
    as_expected = sum(not outcome.errors for outcome in outcomes)
    console.print(f"{as_expected} of {len(steps)} steps were as expected.")
    console.print("docs/troubleshooting.md explains what to do in each case.")
    return 0 if as_expected == len(steps) else 1


def _interrupt(_signum: int, _frame: FrameType | None) -> NoReturn:
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)  # nothing must interrupt the cleanup
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
