"""Serve, start again on every change of the source, and say what came of each start."""

import contextlib
import http
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from watchfiles import watch

from dev.process import Process
from dev.service import Service

SOURCE = Path("src")
BAD_SETTINGS = 2
"""The exit status of a service that cannot use its environment; no change of source mends that."""
ENDED_WHILE_STARTING = 128 + signal.SIGTERM
"""The exit status of a service that was stopped before it could drain: there was nothing yet."""
LATE = 5.0
"""Seconds after which a service that answers, but has not started, deserves a remark."""

NEWS = {
    "up": """
The service is up, {age:.1f} s after its start.

  API      {service.url}/docs
  Probes   {service.url}/health/startup  /health/ready  /health/live
  Details  {service.details_url}

Ctrl-C stops it; a change under src/ starts it again.
""",
    "up again": "The service is up again, {age:.1f} s after its start.",
    "late": "The service answers but has not started yet: {service.details_url} says why.",
    "ended": "The service ended with status {service.status}. A change under src/ starts it again.",
    "unusable": "The service did not start: its settings have to be mended first.",
}


def serve(service: Service, setups: Mapping[str, Process]) -> int:
    """Serve until interrupted, or until the first start fails for its settings; give the status.

    The loss of the terminal is an interruption too: make passes no SIGHUP on to its children.
    ``setups`` run meanwhile, by their names: whatever the service needs before it can start.
    """
    terminals = [fd for fd in (0, 1, 2) if os.isatty(fd)]
    running = dict(setups)
    start = Start(service)
    try:
        for changes in watch(SOURCE, rust_timeout=100, yield_on_timeout=True):
            if changes:
                names = sorted({Path(path).name for _, path in changes if Path(path).exists()})
                _say(f"Changed: {', '.join(names) or 'files are gone'}.")
                service.stop()
                start = Start(service, again=True)
            start.follow()
            for name in [name for name, setup in running.items() if setup.status is not None]:
                if status := running.pop(name).stop():
                    _say(f"`{name}` failed with status {status}: the startup probe waits for it.")
            if start.is_hopeless or not all(os.isatty(fd) for fd in terminals):
                break
    except KeyboardInterrupt:
        _say("Stopping: running requests may finish. Ctrl-C again ends them.")
    status = service.stop()
    return 0 if status == ENDED_WHILE_STARTING else status


class Start:
    """One start of the service, and what there is to say of it, each thing once."""

    def __init__(self, service: Service, *, again: bool = False) -> None:
        self._again = again
        self._service = service
        self._began = time.monotonic()
        self._said = ""
        service.start()

    def follow(self) -> None:
        """Look at the service and say what is new."""
        age = time.monotonic() - self._began
        news = self._look(age)
        if news != self._said:
            self._said = news
            _say(NEWS[news].format(age=age, service=self._service))

    @property
    def is_hopeless(self) -> bool:
        """Whether nothing that may change meanwhile helps."""
        return self._said == "unusable"

    def _look(self, age: float) -> str:
        if self._service.status == BAD_SETTINGS and not self._again:
            return "unusable"
        if self._service.status is not None:
            return "ended"
        if self._said.startswith("up"):
            return self._said
        answer = self._service.ask("startup")
        if answer == http.HTTPStatus.OK:
            return "up again" if self._again else "up"
        return "late" if answer and age > LATE else self._said


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads it any more
        print(text, flush=True)
