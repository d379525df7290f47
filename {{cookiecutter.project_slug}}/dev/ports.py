"""Ports that stay free until a server of ours listens on them."""

import contextlib
import secrets
import socket


def free_port(in_a_row: int = 1) -> int:
    """Return the first of some loopback ports that nobody has, and that are ours until we end.

    They lie below those that outgoing connections take. Their namesakes of UDP, where nothing of
    ours listens, stay bound: so two that look for a port at the same time never find the same one.
    """
    while True:
        first = 20_000 + secrets.randbelow(12_000)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            signs = []
            for port in range(first, first + in_a_row):
                sign = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
                probe = stack.enter_context(socket.socket())
                for endpoint in (sign, probe):
                    endpoint.bind(("127.0.0.1", port))
                signs.append(sign)
            for sign in signs:
                sign.detach()  # open for as long as this process lives
            return first
