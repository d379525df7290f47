"""Develop on real servers.

python -m dev                     serve, and start again on every change under src/
python -m dev COMMAND [ARG ...]   run a command on the same servers, beside a running service or not

A server whose variable is set to one of yours is not started. The data stays in .data/, or in the
folder DEV_DATA. Ctrl-C ends everything in order; a second one does not wait for requests.
"""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import NoReturn

from dev.lock import AlreadyRunningError, sole_run
from dev.process import Process, StartError
from dev.reload import serve
from dev.server import Server
from dev.servers import SERVERS
from dev.service import Service

INTERRUPTED = 128 + signal.SIGINT


def main(command: list[str]) -> int:
    """Run the command, or else the service, and give its exit status."""
    for signum in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(signum) is not signal.SIG_IGN:  # as nohup leaves it
            signal.signal(signum, _interrupt)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.chdir(Path(__file__).resolve().parents[1])
    folder = Path(os.environ.get("DEV_DATA") or ".data")
    try:
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
        tell = stack.enter_context(sole_run(folder, f"at {service.url}/docs"))
        service.require_ports()
        servers = stack.enter_context(embedded(folder))
        variables = {server.variable: server.url for server in servers}
        tell(variables)
        service.environment |= variables
        setups = {
            shlex.join(server.setup): stack.enter_context(
                Process([sys.executable, "-m", *server.setup], environment=service.environment)
            )
            for server in servers
            if server.setup
        }
        stack.callback(service.stop)  # before the servers, whatever happens
        return serve(service, setups)


def run(folder: Path, command: list[str]) -> int:
    """Run one command on the servers of whatever runs in the folder, or else on our own."""
    try:
        with sole_run(folder, shlex.join(command)), embedded(folder) as servers:
            variables = {server.variable: server.url for server in servers}
            return _call(command, os.environ | variables)
    except AlreadyRunningError as already:
        if already.run.variables is None:
            raise
        return _call(command, already.run.variables | os.environ)


@contextlib.contextmanager
def embedded(folder: Path) -> Iterator[list[Server]]:
    """Run the servers whose variables are not set."""
    with contextlib.ExitStack() as stack:
        servers = []
        for kind in SERVERS:
            given = [name for name in (kind.variable, *kind.instead_of) if os.environ.get(name)]
            if given:
                print(f"{given[0]} is set: using that {kind.name}, as it is.", flush=True)
            else:
                server = kind(folder / kind.name, durable=True)
                servers.append(stack.enter_context(server))
        yield servers


def _call(command: list[str], environment: Mapping[str, str]) -> int:
    try:
        return subprocess.call(command, env=environment)
    except OSError as error:
        raise StartError(f"{command[0]} cannot be run: {error.strerror}.") from None


def _interrupt(_signum: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
