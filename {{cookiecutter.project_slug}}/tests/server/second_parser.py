"""What h11, a second and strict parser, understands of the bytes of one connection."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import h11

Understood = list[object]  # method, target, headers and body, as /faults/echo answers

REQUEST_LINE = re.compile(rb"\A(\S+) +(\S+) +(HTTP/)")


@dataclass
class Meaning:
    """The complete requests of a connection, and what comes after them.

    end: "rejection" of a malformed request, "close" after the last answer, or "wait" for the rest
        of a request, or for the next one.
    ignored: bytes that are sent although the connection closes. Unread, they can reset it.
    """

    requests: list[Understood] = field(default_factory=list)
    end: str = "wait"
    ignored: bytes = b""


def understand(stream: bytes) -> Meaning:
    """Return what a server has to do with the bytes of a connection."""
    meaning = Meaning()
    try:
        while meaning.end == "wait":
            connection = h11.Connection(h11.SERVER)
            connection.receive_data(tolerate(stream))
            request = _next_request(connection)
            if request is None:
                break
            meaning.requests.append(request)
            connection.send(h11.Response(status_code=405, headers=[("content-length", "0")]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is h11.MUST_CLOSE:
                meaning.end = "close"
            stream = meaning.ignored = connection.trailing_data[0]
    except h11.RemoteProtocolError:
        meaning.end = "rejection"
    return meaning


def tolerate(stream: bytes) -> bytes:
    """Remove what a parser may ignore, and h11 does not (RFC 9112, sections 2.2 and 3)."""
    return REQUEST_LINE.sub(rb"\1 \2 \3", stream.lstrip(b"\r\n"), count=1)


def _next_request(connection: h11.Connection) -> Understood | None:
    understood: Understood | None = None
    body = b""
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        if isinstance(event, h11.Request):
            understood = _describe(event)
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        else:  # needs more data, or the client would speak another protocol
            return None
    assert understood is not None
    return [*understood, body.decode("latin-1")]


def _describe(request: h11.Request) -> Understood:
    target = request.target.decode()
    if "://" in target:
        target = "/" + target.partition("://")[2].partition("/")[2]
    fields = [(name.decode(), value.decode("latin-1")) for name, value in request.headers]
    return [request.method.decode(), target, fields_of(fields)]


def fields_of(headers: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return header fields as lists, in lower case, without ignored upgrades."""
    return [[name, value.strip().lower()] for name, value in headers if name != "upgrade"]
