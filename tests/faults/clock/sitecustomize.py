"""Lets signals move the wall clock of the service: SIGUSR1 by an hour, SIGUSR2 by an hour back.

Python imports this at its start, before any module that takes `time.time` from its module. The
monotonic clock goes on. gRPC is left out: it adds a duration to this time, and its core compares
the sum with the clock of the system, which does not move.
"""

import signal
import sys
import time

HOUR = 3600
offset = 0
real_time, real_time_ns = time.time, time.time_ns


def shift(signum: int, _frame: object) -> None:
    """Move the clock in the direction that the signal stands for."""
    global offset  # noqa: PLW0603 - a clock has one time
    offset += HOUR if signum == signal.SIGUSR1 else -HOUR


def shifted_time() -> float:
    """Return the moved time."""
    caller = sys._getframe(1).f_globals["__name__"]  # noqa: SLF001 - no public way
    return real_time() + (0 if caller.startswith("grpc.") else offset)


time.time = shifted_time
time.time_ns = lambda: real_time_ns() + offset * 10**9
for number in (signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, shift)
