"""Ports that stay free until an embedded server listens on them."""

import contextlib
import secrets
import socket


def free_port(in_a_row: int = 1) -> int:
    """Return the first of some consecutive loopback ports that no program uses.

    They are below the range of outgoing connections. They stay reserved until this process ends:
    the UDP ports of the same numbers, which no server here needs, stay bound. So two processes that
    look for a port at the same time never find the same one.
    """
    while True:
        first = 20_000 + secrets.randbelow(12_000)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            reservations = []
            for port in range(first, first + in_a_row):
                reservation = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
                probe = stack.enter_context(socket.socket())
                for endpoint in (reservation, probe):
                    endpoint.bind(("127.0.0.1", port))
                reservations.append(reservation)
            for reservation in reservations:
                reservation.detach()  # open for as long as this process lives
            return first
