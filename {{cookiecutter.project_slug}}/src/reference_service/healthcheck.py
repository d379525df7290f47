"""Requests a probe of the service on this host, for the health check of a container.

    python -m reference_service.healthcheck ready

The exit status is 0 for a response of 200 to 299, else 1. A redirect is not a success: it can lead
to a login page. The command runs often, so it imports nothing of the service.
"""

import os
import re
import socket
import sys

PROBES = ("startup", "ready", "live")
TIMEOUT = 1.0  # seconds for the connection and each read; give the command a little longer
REQUEST = "GET /health/%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
SUCCESS = re.compile(r"HTTP/1\.[01] 2\d\d ")


def main(arguments: list[str]) -> int:
    """Request one probe, by default `live`, on SERVICE_PORT. Return the exit status."""
    match arguments or ["live"]:
        case [probe] if probe in PROBES:
            result = fetch_status_line(probe)
        case _:
            result = f"usage: healthcheck [{'|'.join(PROBES)}]"
    sys.stdout.write(f"{result}\n")
    return 0 if SUCCESS.match(result) else 1


def fetch_status_line(probe: str) -> str:
    """Return the first line of the response to a probe, or why there is none."""
    try:
        port = int(os.environ.get("SERVICE_PORT") or "8000")
        with connect(port) as connection:
            connection.sendall((REQUEST % probe).encode())
            with connection.makefile(encoding="latin-1") as response:
                return response.readline(200).strip() or "no response: the connection was closed"
    except (OSError, ValueError) as error:
        return f"no response: {error}"


def connect(port: int) -> socket.socket:
    """Connect to a port of this host. Raises OSError."""
    try:
        return socket.create_connection(("127.0.0.1", port), TIMEOUT)
    except ConnectionRefusedError:  # SERVICE_HOST can be an IPv6 address
        return socket.create_connection(("::1", port), TIMEOUT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
