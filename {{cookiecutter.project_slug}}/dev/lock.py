"""File locks. The kernel releases them when their holders end, so a crash leaves none behind."""

import contextlib
import dataclasses
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any


def try_lock(file: IO[Any]) -> bool:
    """Lock an open file for this process and those that inherit it; False if another holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@dataclasses.dataclass(frozen=True)
class Instance:
    """What a running instance publishes to others that want the same folder.

    variables: the environment variables that lead to its servers; None until they are up.
    """

    pid: int
    description: str
    variables: Mapping[str, str] | None


class AlreadyRunningError(Exception):
    """Another instance uses the folder."""

    def __init__(self, instance: Instance) -> None:
        super().__init__(f"Already running, pid {instance.pid}, {instance.description}.")
        self.instance = instance


@contextlib.contextmanager
def single_instance(
    folder: Path, description: str
) -> Iterator[Callable[[Mapping[str, str] | None], None]]:
    """Reserve the folder; yield the function that publishes the servers' variables to others.

    Raises AlreadyRunningError.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "run.json"
    path.touch(mode=0o600)  # the servers' URLs contain passwords
    with path.open("r+") as file:
        if not try_lock(file):
            raise AlreadyRunningError(Instance(**json.load(file)))

        def publish(variables: Mapping[str, str] | None) -> None:
            file.seek(0)
            json.dump(dataclasses.asdict(Instance(os.getpid(), description, variables)), file)
            file.truncate()
            file.flush()

        publish(None)
        yield publish
