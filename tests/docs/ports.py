"""Ports for a service that a test starts."""

import socket


def free_ports() -> tuple[int, int]:
    """Return two ports that are free now."""
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]
