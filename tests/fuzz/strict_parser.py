"""What h11, a strict parser, understands of the bytes of one connection."""

from dataclasses import dataclass, field

import h11
from tests.server.second_parser import fields_of, tolerate


@dataclass(frozen=True)
class Request:
    """A request: header fields are pairs of a name and a value, in lower case."""

    method: str
    target: str
    fields: list[list[str]]
    body: bytes = b""


@dataclass
class Meaning:
    """The complete requests of a connection, and what comes after them.

    partial: a request whose header is complete and whose body is not, or is malformed. It can get
        an answer, because the service need not read its body.
    end: "rejection" of a malformed request, "close" after the last answer, or "wait" for the rest
        of a request, or for the next one.
    has_more: whether bytes are sent although the connection closes. Unread, they can reset it.
    """

    requests: list[Request] = field(default_factory=list)
    partial: Request | None = None
    end: str = "wait"
    has_more: bool = False

    @property
    def methods(self) -> list[str]:
        """The methods of the requests that can get an answer."""
        partial = [self.partial] if self.partial else []
        return [request.method for request in [*self.requests, *partial]]


def understand(stream: bytes) -> Meaning:
    """Return what a server has to do with the bytes of a connection."""
    meaning = Meaning()
    try:
        while meaning.end == "wait":
            connection = h11.Connection(h11.SERVER)
            connection.receive_data(tolerate(stream))
            body = b""
            while not isinstance(event := connection.next_event(), h11.EndOfMessage):
                if isinstance(event, h11.Request):
                    meaning.partial = _describe(event)
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                else:  # needs more data, or the client would speak another protocol
                    return meaning
            head, meaning.partial = meaning.partial, None
            assert head is not None
            meaning.requests.append(Request(head.method, head.target, head.fields, body))
            connection.send(h11.Response(status_code=405, headers=[("content-length", "0")]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is h11.MUST_CLOSE:
                meaning.end = "close"
            stream = connection.trailing_data[0]
            meaning.has_more = bool(stream)
    except h11.RemoteProtocolError:
        meaning.end = "rejection"
    return meaning


def _describe(request: h11.Request) -> Request:
    target = request.target.decode()
    if "://" in target:
        target = "/" + target.partition("://")[2].partition("/")[2]
    fields = [(name.decode(), value.decode("latin-1")) for name, value in request.headers]
    return Request(request.method.decode(), target, fields_of(fields))
