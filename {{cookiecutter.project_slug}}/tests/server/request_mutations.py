"""Random requests, most of them malformed or ambiguous, from a seed."""

import itertools
import random
from collections.abc import Callable

CRLF = b"\r\n"
MARKER = "/faults/echo"
METHODS = (b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS")
ODD_METHODS = (b"get", b"Post", b"GETX", b"CONNECT", b"TRACE", b"PRI", b"DESCRIBE", b"G\0T", b"")
ODD_VERSIONS = (b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.2", b"HTTP/11", b"http/1.1", b"")
UPGRADES = (b"h2c", b"websocket", b"TLS/1.0", b"h2c, websocket", b"")
CONNECTIONS = (b"Upgrade", b"close, Upgrade", b"upgrade,keep-alive", b"close", b"keep-alive", b"x")
CODINGS = (
    b"chunked", b"Chunked", b"chunked ", b"chunked, identity", b"identity", b"gzip, chunked",
    b"chunked, chunked", b"xchunked", b'"chunked"', b"chunked;q=1", b",chunked", b"chunked,", b"",
    b"\x0bchunked", b"chunked\r\n x",
)  # fmt: skip
LENGTHS = (
    b"+%d", b"-%d", b"00%d", b"%d ", b"0x%d", b"%d, %d", b"%d %d", b"%d.0", b"%d\x00", b"%d\x0b",
    b"99999999999999999999%d", b"18446744073709551616", b"", b"1e1", b"\t%d",
)  # fmt: skip
SIZES = (
    b"+%x", b"-%x", b"0x%x", b"000%x", b"%x ", b" %x", b"%x;", b"%x;a=b", b'%x;a="b;c"', b"%x;a\n",
    b'%x;a="\r\n"', b"%x\t", b"ffffffffffffffff%x", b"%x\x00", b"%x,%x", b"", b"g", b"%x;a=b;c",
)  # fmt: skip
ODD_FIELDS = (
    b"X-A : b", b" X-A: b", b"X-A: b\r\n c", b"X-A: b\r\n\tc", b"X-A\r\n", b": b", b"X-A",
    b"X A: b", b"X-A: \x00", b"X-A: \x01", b"X-A: b\rX-B: c", b"X-A: b\nX-B: c", b"X-A: \xff",
    b"X-A:", b"\x00",
    b"Content_Length: 3", b"Content-Length\x00: 3", b"Content-Length : 3", b"X-A: b\r", b"\tX: y",
    b"Expect: 100-continue", b"Expect: 200-ok", b"Trailer: Host", b"X(a): b",
)  # fmt: skip
HOSTS = (
    b"", b"Host: there\r\n", b"Host: a b\r\n", b"Host: a@b\r\n", b"Host: a/b\r\n", b"Host:\r\n",
    b"Host: here\r\nHost: here\r\n", b"Host: here\r\nHost: there\r\n", b"Host: a,b\r\n",
)  # fmt: skip
TRAILERS = (
    b"X-Trailer: a", b"Host: there", b"Content-Length: 5", b"Transfer-Encoding: chunked", b"X : y",
    b"Upgrade: h2c\r\nConnection: Upgrade", b"Connection: close", b"X: y\n",
)  # fmt: skip


class Requests:
    """Build the bytes of one connection; every inner request of a body has the target /inner."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def connection(self, number: int) -> bytes:
        """Return up to three requests, and a last one that closes the connection."""
        count = self._random.randint(1, 3)
        requests = [self._request(f"{MARKER}/{number}/{n}".encode()) for n in range(count)]
        last = f"GET {MARKER}/{number}/last HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
        return b"".join([*requests, last.encode()])

    def packets(self, stream: bytes) -> list[bytes]:
        """Split a stream at up to four random places."""
        count = min(self._random.choice((0, 0, 1, 2, 4)), len(stream) - 1)
        places = [0, *sorted(self._random.sample(range(1, len(stream)), count)), len(stream)]
        return [stream[start:end] for start, end in itertools.pairwise(places)]

    def _chance(self, percent: int) -> bool:
        return self._random.randrange(100) < percent

    def _request(self, target: bytes) -> bytes:
        pick = self._random.choice
        method, version = pick(METHODS), b"HTTP/1.1"
        host = pick(HOSTS) if self._chance(6) else b"Host: here\r\n"
        if self._chance(3):
            method = pick(ODD_METHODS)
        if self._chance(8):
            version = pick(ODD_VERSIONS)
        if self._chance(6):
            target = pick(
                (b"http://here%b", b"http://there%b", b"*", b"%b#x", b"%b\x00", b"%b?a=b")
            ).replace(b"%b", target)
        fields, body = self._framing(target)
        if self._chance(25):
            fields += [b"Connection: " + pick(CONNECTIONS), b"Upgrade: " + pick(UPGRADES)]
        if self._chance(12):
            fields.append(pick(ODD_FIELDS))
        if self._chance(3):
            fields += [b"X-%d: y" % n for n in range(40)]
        self._random.shuffle(fields)
        head = b"%b %b %b\r\n%b" % (method, target, version, host)
        head += b"".join(each + CRLF for each in fields) + CRLF
        return self._damage(head) + body

    def _framing(self, target: bytes) -> tuple[list[bytes], bytes]:
        """Return header fields about a body, and the body."""
        pick = self._random.choice
        inner = b"DELETE %b/inner HTTP/1.1\r\nHost: here\r\n\r\n" % target
        body = pick((b"", b"abc", inner, inner * 2, b"0\r\n\r\n" + inner))
        length = b"Content-Length: %d" % len(body)
        kind = self._random.randrange(10)
        if kind < 2:
            return [], b""
        if kind < 5:
            if self._chance(15):
                wrong = pick(LENGTHS)
                length = b"Content-Length: " + wrong.replace(b"%d", b"%d" % len(body))
            repeated = [pick((length, b"Content-Length: 3"))] if self._chance(8) else []
            return [length, *repeated], body
        coding = pick(CODINGS) if self._chance(20) else b"chunked"
        fields = [b"Transfer-Encoding: " + coding]
        if self._chance(8):
            fields.append(pick((length, fields[0], b"Transfer-Encoding: identity")))
        return fields, self._chunks(body)

    def _chunks(self, body: bytes) -> bytes:
        pick = self._random.choice
        chunks = b""
        while body:
            part = body[: self._random.randint(1, len(body))]
            body = body[len(part) :]
            size = pick(SIZES) if self._chance(8) else b"%x"
            end = pick((b"\n", b"\r", b"", b"x\r\n")) if self._chance(3) else CRLF
            chunks += size.replace(b"%x", b"%x" % len(part)) + CRLF + part + end
        trailers = pick(TRAILERS) + CRLF if self._chance(15) else b""
        last = pick((b"00", b"0;a=b", b"0 ", b"-0", b"")) if self._chance(5) else b"0"
        return chunks + last + CRLF + trailers + CRLF

    def _damage(self, head: bytes) -> bytes:
        """Change a few bytes, rarely."""
        if not self._chance(10):
            return head
        place = self._random.randrange(len(head))
        changes: tuple[Callable[[bytes, bytes], bytes], ...] = (
            lambda before, after: before + after[1:],
            lambda before, after: before + bytes([self._random.randrange(256)]) + after[1:],
            lambda before, after: before + self._random.choice((b"\r", b"\n", b"\0", b" ")) + after,
            lambda before, after: before.replace(CRLF, b"\n") + after,
            lambda before, after: CRLF + before + after,
        )
        return self._random.choice(changes)(head[:place], head[place:])
