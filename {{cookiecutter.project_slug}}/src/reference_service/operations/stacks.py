"""What the process does right now: the stacks of its tasks, and a profile of its threads."""

import asyncio
import io
import sys
import threading
import time
from collections import Counter
from types import FrameType

SAMPLE_INTERVAL = 0.01  # seconds between two samples of a profile


def task_stacks() -> str:
    """Return where each task of the running event loop waits, as tracebacks."""
    output = io.StringIO()
    for task in sorted(asyncio.all_tasks(), key=lambda task: task.get_name()):
        task.print_stack(file=output)
        output.write("\n")
    return output.getvalue()


def profile(seconds: float) -> str:
    """Sample the stacks of all threads, and return how often each was seen.

    One line for each stack, `thread;caller;called COUNT`, as tools for flame graphs read it. It
    blocks the calling thread, which is not part of the result.
    """
    seen: Counter[str] = Counter()
    ended, own = time.monotonic() + seconds, threading.get_ident()
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    while time.monotonic() < ended:
        for ident, frame in sys._current_frames().items():  # noqa: SLF001 - documented
            if ident != own:
                seen[";".join([names.get(ident, str(ident)), *_functions(frame)])] += 1
        time.sleep(SAMPLE_INTERVAL)
    return "".join(f"{stack} {count}\n" for stack, count in seen.most_common())


def _functions(frame: FrameType | None) -> list[str]:
    """Return the functions of a stack, outermost first."""
    functions: list[str] = []
    while frame is not None:
        functions.append(f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}")
        frame = frame.f_back
    return functions[::-1]
