"""Find requests that two servers could understand differently."""

from collections.abc import Sequence

HOST_CHARACTERS = bytes(range(0x21, 0x7F)).translate(None, b'"#/<>?@\\^`{|}')  # RFC 3986
NO_TRAILERS = {b"connection", b"content-length", b"host", b"transfer-encoding", b"upgrade"}


class RejectedRequestError(ValueError):
    """Why a request is rejected: the status of the answer, and a sentence for the client."""

    def __init__(self, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.status = status


def reject_ambiguous(version: str, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Raise RejectedRequestError for what llhttp accepts and RFC 9112 or another server does not.

    A proxy that understands another request, another host or another end of the body can forward
    what it never checked (request smuggling; RFC 9112, section 11.2). llhttp itself rejects a
    second `Content-Length`, or one beside a `Transfer-Encoding`.

    version: for example "1.1". headers: with names in lower case.
    """
    host = coding = None
    hosts = codings = 0
    for name, value in headers:
        if name == b"host":
            host, hosts = value, hosts + 1
        elif name == b"transfer-encoding":
            coding, codings = value, codings + 1
    if version not in {"1.1", "1.0"}:
        raise RejectedRequestError("The HTTP version is not 1.1 or 1.0.")
    if hosts > 1 or codings > 1:
        raise RejectedRequestError("Host or Transfer-Encoding occurs twice.")
    if host is None and version == "1.1":
        raise RejectedRequestError("The Host header is missing.")
    if coding and (version == "1.0" or coding.strip().lower() != b"chunked"):
        raise RejectedRequestError("The Transfer-Encoding is not chunked, or not for HTTP/1.1.")
    if host and host.strip().translate(None, HOST_CHARACTERS):
        raise RejectedRequestError("The Host header is not a host.")
    if (target[:1] != b"/" or b"#" in target) and not _is_url_of(host, target):
        raise RejectedRequestError("The request target is not a path or a URL of this host.")


def reject_trailers(trailers: Sequence[tuple[bytes, bytes]]) -> None:
    """Raise RejectedRequestError if a trailer is about the connection (RFC 9110, section 6.5.1).

    After a trailer `Connection: close`, llhttp would ignore all further requests, without a word.
    """
    if not NO_TRAILERS.isdisjoint(name for name, _ in trailers):
        raise RejectedRequestError("A trailer is a header of the connection or the message.")


def _is_url_of(host: bytes | None, target: bytes) -> bool:
    scheme, _, rest = target.lower().partition(b"://")
    named = rest.partition(b"/")[0]
    return scheme in {b"http", b"https"} and b"#" not in rest and named == (host or named).lower()
