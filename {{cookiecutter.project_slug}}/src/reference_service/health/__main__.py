"""Asks a probe of the service beside it, for whoever checks health by a command: `health ready`.

The exit status is 0 for an answer of 200 to 299, else 1. A redirect is no success: it leads to a
page for logging in, say. Nothing is imported that the folder does not import anyway: it runs often.
"""

import os
import re
import socket
import sys

from .answer import Probe

TIMEOUT = 1.0
"""Seconds for each step; whoever runs the command should give up a little later."""

HOST = "127.0.0.1"
REQUEST = f"GET /health/%s HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
SUCCESS = re.compile(r"HTTP/1\.[01] 2\d\d ")


def main(arguments: list[str]) -> int:
    """Ask the probe of that name, `live` without one, on SERVICE_PORT; print what it says."""
    try:
        probe = Probe(*arguments or (Probe.LIVE,))
    except (TypeError, ValueError):
        _say(f"usage: python -m {__package__} [{'|'.join(Probe)}]")
        return 1
    try:
        answer = ask(probe, int(os.environ.get("SERVICE_PORT", "8000")))
    except OSError as error:
        _say(f"no answer: {error}")
        return 1
    _say(answer or "no answer: the connection was closed")
    return 0 if SUCCESS.match(answer) else 1


def ask(probe: Probe, port: int) -> str:
    """Return the first line of a probe's answer. Raises OSError."""
    with socket.create_connection((HOST, port), TIMEOUT) as connection:
        connection.sendall((REQUEST % probe).encode())
        with connection.makefile(encoding="latin-1") as answer:
            return answer.readline(200).strip()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
