"""Checks the health of the service on this host from a command: `python -m health ready`.

The exit status is 0 for a response of 200 to 299, else 1. A redirect is not a success: it can lead
to a login page. The command runs often, so it imports only what this folder imports anyway.
"""

import os
import re
import socket
import sys

from .answer import Probe

TIMEOUT = 1.0  # seconds for the connection and each read; give the command a little longer
REQUEST = "GET /health/%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
SUCCESS = re.compile(r"HTTP/1\.[01] 2\d\d ")


def main(arguments: list[str]) -> int:
    """Request one probe, by default `live`, on SERVICE_PORT. Return the exit status."""
    try:
        port = int(os.environ.get("SERVICE_PORT", "8000"))
        [probe] = arguments or [Probe.LIVE]
        status_line = fetch_status_line(Probe(probe), port)
        result = status_line or "no response: the connection was closed"
    except ValueError:
        result = f"usage: python -m {__package__} [{'|'.join(Probe)}]"
    except OSError as error:
        result = f"no response: {error}"
    sys.stdout.write(f"{result}\n")
    return 0 if SUCCESS.match(result) else 1


def fetch_status_line(probe: Probe, port: int) -> str:
    """Return the first line of the response to a probe. Raises OSError."""
    try:
        connection = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    except ConnectionRefusedError:  # SERVICE_HOST can be an IPv6 address
        connection = socket.create_connection(("::1", port), TIMEOUT)
    with connection:
        connection.sendall((REQUEST % probe).encode())
        with connection.makefile(encoding="latin-1") as response:
            return response.readline(200).strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
