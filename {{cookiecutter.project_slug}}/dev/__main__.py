"""Develop on real servers.

python -m dev                     serve, and restart on every change under src/
python -m dev COMMAND [ARG ...]   run a command on the same servers, whether the service runs or not
python -m dev --delete-data       delete the data of the servers

A server whose variable is set is not started: the service uses that one. The data stays in .data/,
or in the folder DEV_DATA. Ctrl-C shuts everything down; a second one does not wait for requests.
"""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import NoReturn

from dev.lock import AlreadyRunningError, single_instance
from dev.process import Process, StartError
from dev.reload import serve
from dev.server import Server
from dev.servers import SERVERS
from dev.service import Service

INTERRUPTED = 128 + signal.SIGINT


def main(command: list[str]) -> int:
    """Run the command, or the service if there is none, and return its exit status."""
    for signum in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(signum) is not signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(signum, _interrupt)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.chdir(Path(__file__).resolve().parents[1])
    folder = Path(os.environ.get("DEV_DATA") or ".data")
    try:
        if command == ["--delete-data"]:
            return delete_data(folder)
        return run(folder, command) if command else develop(folder)
    except (AlreadyRunningError, StartError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def develop(folder: Path) -> int:
    """Serve on embedded servers until interrupted."""
    service = Service(os.environ)
    with contextlib.ExitStack() as stack:
        publish = stack.enter_context(single_instance(folder, f"at {service.url}/docs"))
        service.require_ports()
        servers = stack.enter_context(embedded(folder))
        variables = {server.variable: server.url for server in servers}
        publish(variables)
        service.environment |= variables
        setups = {
            server: stack.enter_context(
                Process([sys.executable, "-m", *server.setup], environment=service.environment)
            )
            for server in servers
            if server.setup
        }
        stack.callback(service.stop)  # always before the servers
        return serve(service, servers, setups)


def run(folder: Path, command: list[str]) -> int:
    """Run one command on the servers of the running instance, or else on new ones."""
    try:
        with single_instance(folder, shlex.join(command)), embedded(folder) as servers:
            variables = {server.variable: server.url for server in servers}
            return _call(command, os.environ | variables)
    except AlreadyRunningError as already:
        if already.instance.variables is None:
            raise
        return _call(command, already.instance.variables | os.environ)


def delete_data(folder: Path) -> int:
    """Delete the data of the servers. Raises AlreadyRunningError if an instance uses it."""
    with single_instance(folder, "deleting the data"):
        for kind in SERVERS:
            shutil.rmtree(folder / kind.name, ignore_errors=True)
    print(f"Deleted the data in {folder}. The next `make dev` starts with empty servers.")
    return 0


@contextlib.contextmanager
def embedded(folder: Path) -> Iterator[list[Server]]:
    """Run the servers whose variables are not set."""
    with contextlib.ExitStack() as stack:
        servers = []
        for kind in SERVERS:
            given = [name for name in (kind.variable, *kind.replaces) if os.environ.get(name)]
            if given:
                print(f"{given[0]} is set: using that {kind.name}.", flush=True)
            else:
                server = kind(folder / kind.name, durable=True)
                servers.append(stack.enter_context(server))
        yield servers


def _call(command: list[str], environment: Mapping[str, str]) -> int:
    try:
        return subprocess.call(command, env=environment)
    except OSError as error:
        raise StartError(f"Cannot run {command[0]}: {error.strerror}.") from None


def _interrupt(_signum: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
