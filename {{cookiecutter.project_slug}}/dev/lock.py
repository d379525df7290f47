"""Locks that no crash leaves behind: the kernel holds them while their holders live."""

import contextlib
import dataclasses
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any


def lock(file: IO[Any]) -> bool:
    """Lock an open file for us and every process that inherits it; False if another has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run tells another that would use the same folder."""

    pid: int
    doing: str
    variables: Mapping[str, str] | None
    """Where its servers are, as environment variables; None until they are up."""


class AlreadyRunningError(Exception):
    """Another run has the folder."""

    def __init__(self, run: Run) -> None:
        super().__init__(f"Already running, pid {run.pid}, {run.doing}.")
        self.run = run


@contextlib.contextmanager
def sole_run(folder: Path, doing: str) -> Iterator[Callable[[Mapping[str, str]], None]]:
    """Have the folder alone; what is entered is the function that tells others of the servers.

    Raises AlreadyRunningError.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "run.json"
    path.touch(mode=0o600)  # the servers' addresses hold passwords
    with path.open("r+") as file:
        if not lock(file):
            raise AlreadyRunningError(Run(**json.load(file)))

        def tell(variables: Mapping[str, str] | None) -> None:
            file.seek(0)
            json.dump(dataclasses.asdict(Run(os.getpid(), doing, variables)), file)
            file.truncate()
            file.flush()

        tell(None)
        yield tell
