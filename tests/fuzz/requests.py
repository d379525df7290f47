"""Random connections to the service, from a seed: valid, malformed, ambiguous, huge, tiny."""

import base64
import itertools
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.server import request_mutations as odd

CRLF = b"\r\n"
HOST = b"Host: here\r\n"
ITEMS = b"/items"
JSON = b"Content-Type: application/json"
MAX_HEADER_BYTES = 65_536
MAX_BODY_BYTES = 1_048_576
UNKNOWN = b"/items/00000000-0000-4000-8000-%012x"
ODD_TARGETS = (
    b"*", b"//", b"/%", b"/%zz",
    b"/%00", b"/\xff", b"/../items", b"/items/..;/", b"http://here/items",
    b"http://there/items", b"//there/items",
    b"/items#x", b"/items?cursor=%ff", b"/items?limit=%2b1",
    b"/" + b"a" * 9000, b"/items?" + b"a=b&" * 2000, b"?",
    b"", b"here:80", b"/items\x00", b"/ items",
    b"/health/ready?verbose", b"/health/LIVE",
    b"/health/live/", b"/health//live", b"/openapi.json",
)  # fmt: skip
ODD_JSON = (
    b"", b"null", b"[]", b'"', b"{", b'{"name": 1}', b'{"name": ""}', b'{"name": "\xff\xfe"}',
    b'{"name": "\\ud800"}', b'{"name": "a\\u0000b"}', b'{"name": "a", "name": "b"}', b"NaN",
    b'{"name": 1e999}', b"[" * 5000, b'{"a":' * 2000, b'\xef\xbb\xbf{"name": "bom"}', b"1" * 6000,
    b'{"name": "' + b"x" * 5000 + b'"}', b'{"name": "\xed\xa0\x80"}', b"\x00", b'{"\\ud83d": 1}',
    b'{"name": "x", "__proto__": {}}', b"name=x", b'{"name": {"name": []}}',
)  # fmt: skip
ODD_TYPES = (
    b"application/json; charset=utf-16", b"text/plain", b"multipart/form-data", b"",
    b"multipart/form-data; boundary=",
    b"application/x-www-form-urlencoded", b"application/json\xff",
    b'a/b; c="', b"application/merge-patch+json",
)  # fmt: skip
ODD_VALUES = (
    b"Authorization: Basic \xff", b"Cookie: a=b; ;;=", b"Accept: */*;q=x", b"X-Request-ID: \xff",
    b"X-Request-ID: a b", b"X-Forwarded-For: ,,unknown", b"X-Forwarded-Proto: javascript",
    b"Forwarded: for=;by=", b"traceparent: 00-0-0-0", b"traceparent: 00-" + b"0" * 999,
    b"tracestate: " + b"a=b," * 200, b"baggage: %%%=\xff", b"Accept-Encoding: gzip;q=-1, br",
    b"Range: bytes=0-", b"Origin: null", b"X-Trace-Health: true", b"Expect: 100-continue",
    b'If-None-Match: "', b"Content-Encoding: gzip", b"Max-Forwards: -1",
)  # fmt: skip
NOISE = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x80\x9e\x01\x03\x01", b"SSH-2.0-x\r\n",
    b"HELO here\r\n", b"*1\r\n$4\r\nPING\r\n", b"\r\n" * 200,
    b"\x00" * 100, b"GET\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2",
)  # fmt: skip


@dataclass
class Stream:
    """What one client sends.

    statuses: the answers that it must get, because each of its requests is valid; None if not.
    names: of the items that it may create; None if a second parser has to tell.
    ending: what the client does behind the last packet: "wait", "half-close" or "abandon".
    """

    kind: str
    data: bytes
    packets: list[bytes] = field(default_factory=list)
    statuses: list[set[int]] | None = None
    names: list[str] | None = None
    ending: str = "wait"


class Requests:
    """Build the connections of one batch.

    seed: the same seed builds the same. canary: the path of an item that no client may delete.
    """

    def __init__(self, seed: str, canary: bytes) -> None:
        self._random = random.Random(seed)
        self._canary = canary
        self._number = 0

    def stream(self) -> Stream:
        """Return what the next client sends."""
        self._number += 1
        kinds: dict[Callable[[], Stream], int] = {
            self._valid: 25,
            self._mutated: 45,
            self._odd_json: 8,
            self._large: 4,
            self._handshake: 8,
            self._noise: 10,
        }
        [kind] = self._random.choices(list(kinds), list(kinds.values()))
        stream = kind()
        stream.packets = self._packets(stream.data)
        if stream.statuses is None and self._chance(12):
            stream.ending = self._random.choice(("half-close", "abandon"))
            if stream.ending == "abandon" and stream.data:
                stream.data = stream.data[: self._random.randrange(len(stream.data)) + 1]
                stream.packets = self._packets(stream.data)
        return stream

    # ---- Kinds of connections

    def _valid(self) -> Stream:
        """Return valid requests, pipelined, each with the statuses that can answer it."""
        count = self._random.choice((1, 1, 2, 3, 8, 20))
        requests, statuses = [], []
        for number in range(count):
            last = [b"Connection: close"] if number == count - 1 else []
            request, expected = self._valid_request(number, last)
            requests.append(request)
            statuses.append(expected)
        return Stream("valid", b"".join(requests), statuses=statuses)

    def _mutated(self) -> Stream:
        """Return requests that are mostly malformed, and a last one that closes the connection."""
        count = self._random.randint(1, 3)
        data = b"".join(self._mutated_request(number) for number in range(count))
        last = self._head(b"GET", b"/health/live", [b"Connection: close"])
        return Stream("mutated", data + last)

    def _odd_json(self) -> Stream:
        """Return well-formed requests whose content is invalid or unusual."""
        pick = self._random.choice
        body = pick(ODD_JSON)
        if self._chance(30):
            body = self._random.randbytes(self._random.randrange(300))
        kind = b"Content-Type: " + pick(ODD_TYPES) if self._chance(30) else JSON
        method = pick((b"POST", b"PATCH"))
        target = ITEMS if method == b"POST" else UNKNOWN % self._number
        framing, content = self._framed(body)
        fields = [kind, *framing, self._id(0), b"Connection: close"]
        return Stream("odd content", self._head(method, target, fields) + content)

    def _large(self) -> Stream:
        """Return a request whose header or body is near its bound, or far above it."""
        pick = self._random.choice
        if self._chance(50):
            size = pick((30_000, MAX_HEADER_BYTES - 1000, MAX_HEADER_BYTES + 1000, 300_000))
            lines = self._random.choice((1, 40))
            fields = [b"X-%d: %b" % (n, b"y" * (size // lines - 8)) for n in range(lines)]
            head = self._head(b"GET", ITEMS, [*fields, b"Connection: close"])
            expected = {200} if size < MAX_HEADER_BYTES else {431}
            return Stream("large header", head, statuses=[expected], names=[])
        size = pick((MAX_BODY_BYTES - 100, MAX_BODY_BYTES + 1, 3 * MAX_BODY_BYTES))
        framing, content = self._framed(b"{" + b" " * (size - 1), parts=20)
        fields = [JSON, *framing, b"Connection: close"]
        data = self._head(b"POST", ITEMS, fields) + content
        expected = {422} if size < MAX_BODY_BYTES else {413}
        return Stream("large body", data, statuses=[expected], names=[])

    def _handshake(self) -> Stream:
        """Return a handshake of a WebSocket, often with an error, and frames behind it."""
        pick = self._random.choice
        key = pick((base64.b64encode(self._random.randbytes(16)), b"short", b"", b"\xff" * 24))
        fields = [
            b"Connection: " + pick((b"Upgrade", b"keep-alive, Upgrade", b"close", b"")),
            b"Upgrade: " + pick((b"websocket", b"WebSocket", b"websocket, h2c", b"h2c", b"\xff")),
            b"Sec-WebSocket-Key: " + key,
            b"Sec-WebSocket-Version: " + pick((b"13", b"8", b"x", b"")),
        ]
        fields += self._random.sample(odd.ODD_FIELDS, 1) if self._chance(20) else []
        fields += [b"Sec-WebSocket-Extensions: permessage-deflate; " + b"x" * 50] * self._chance(20)
        target = pick((ITEMS, b"/", b"/health/live", b"/openapi.json", b"*", b"/\xff"))
        head = self._head(pick((b"GET", b"GET", b"GET", b"POST")), target, fields)
        behind = pick((b"", b"\x81\x85" + self._random.randbytes(9), b"\x88\x00", self._inner()))
        return Stream("handshake", head + behind)

    def _noise(self) -> Stream:
        """Return bytes that are no request, or only the start of one."""
        pick = self._random.choice
        data = pick((
            pick(NOISE),
            self._random.randbytes(self._random.randrange(1, 400)),
            self._head(b"GET", pick(ODD_TARGETS), [self._id(0), b"Connection: close"]),
            self._head(b"GET", ITEMS, [pick(ODD_VALUES), self._id(0), b"Connection: close"]),
        ))  # fmt: skip
        return Stream("noise", data, ending=pick(("wait", "half-close")))

    # ---- Parts of requests

    def _valid_request(self, number: int, last: list[bytes]) -> tuple[bytes, set[int]]:
        pick = self._random.choice
        unknown = UNKNOWN % self._random.randrange(1 << 40)
        method, target, expected = pick((
            (b"POST", ITEMS, {201}),
            (b"POST", ITEMS, {201}),
            (b"GET", ITEMS + pick((b"", b"?limit=1", b"?limit=100")), {200}),
            (b"HEAD", ITEMS, {200}),
            (b"GET", ITEMS + pick((b"?limit=0", b"?cursor=%ff")), {422}),
            (b"GET", unknown, {404}),
            (b"PATCH", unknown, {404}),
            (b"DELETE", unknown, {204}),
            (b"PUT", ITEMS, {405}),
            (b"OPTIONS", pick((ITEMS, b"*")), {204}),
            (b"GET", b"/nowhere", {404}),
            (b"GET", b"/health/" + pick((b"live", b"ready", b"startup")), {200}),
            (b"HEAD", b"/health/live", {200}),
        ))  # fmt: skip
        body = b""
        if method in {b"POST", b"PATCH"}:
            body = self._item(number)
        framing, content = self._framed(body) if body else ([], b"")
        fields = [JSON, *framing, self._id(number), *last]
        if self._chance(20):
            fields.append(pick(ODD_VALUES))
        self._random.shuffle(fields)
        return self._head(method, target, fields) + content, expected

    def _mutated_request(self, number: int) -> bytes:
        pick = self._random.choice
        method = pick((b"GET", b"POST", b"POST", b"PUT", b"PATCH", b"OPTIONS"))
        target, version, host = ITEMS, b"HTTP/1.1", HOST
        if self._chance(6):
            host = pick(odd.HOSTS)
        if self._chance(3):
            method = pick(odd.ODD_METHODS)
        if self._chance(8):
            version = pick(odd.ODD_VERSIONS)
        if self._chance(8):
            target = pick(ODD_TARGETS)
        fields, body = self._odd_framing(number)
        fields += [JSON, self._id(number)]
        if self._chance(20):
            fields += [b"Connection: " + pick(odd.CONNECTIONS), b"Upgrade: " + pick(odd.UPGRADES)]
        if self._chance(15):
            fields.append(pick((*odd.ODD_FIELDS, *ODD_VALUES)))
        self._random.shuffle(fields)
        head = b"%b %b %b\r\n%b" % (method, target, version, host)
        return self._damaged(head + b"".join(each + CRLF for each in fields) + CRLF) + body

    def _odd_framing(self, number: int) -> tuple[list[bytes], bytes]:
        """Return header fields about a body, and a body that often holds further requests."""
        pick = self._random.choice
        item = self._item(number)
        body = pick((item, item, b"", self._inner(), b"0\r\n\r\n" + self._inner()))
        kind = self._random.randrange(10)
        length = b"Content-Length: %d" % len(body)
        if kind < 2:
            return [], b""
        if kind < 6:
            if self._chance(20):
                wrong = pick(odd.LENGTHS).replace(b"%d", b"%d" % len(body))
                length = b"Content-Length: " + wrong
            return [length] * (1 + self._chance(5)), body
        coding = pick(odd.CODINGS) if self._chance(20) else b"chunked"
        fields = [b"Transfer-Encoding: " + coding]
        if self._chance(10):
            fields.append(pick((length, fields[0], b"Content-Length: 0")))
        return fields, self._odd_chunks(body)

    def _odd_chunks(self, body: bytes) -> bytes:
        pick = self._random.choice
        chunks = b""
        while body:
            part = body[: self._random.randint(1, len(body))]
            body = body[len(part) :]
            size = pick(odd.SIZES) if self._chance(8) else b"%x"
            end = pick((b"\n", b"\r", b"", b"x\r\n")) if self._chance(3) else CRLF
            chunks += size.replace(b"%x", b"%x" % len(part)) + CRLF + part + end
        last = pick((b"00", b"0;a=b", b"0 ", b"-0", b"")) if self._chance(5) else b"0"
        trailers = pick(odd.TRAILERS) + CRLF if self._chance(15) else b""
        return chunks + last + CRLF + trailers + CRLF

    def _framed(self, body: bytes, parts: int = 3) -> tuple[list[bytes], bytes]:
        """Return a valid framing of a body: its header field, and the bytes to send."""
        if self._chance(50) or not body:
            return [b"Content-Length: %d" % len(body)], body
        size = len(body) // self._random.randint(1, parts) + 1
        chunks = [body[start : start + size] for start in range(0, len(body), size)]
        content = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
        return [b"Transfer-Encoding: chunked"], content + b"0\r\n\r\n"

    def _head(self, method: bytes, target: bytes, fields: list[bytes]) -> bytes:
        lines = b"".join(each + CRLF for each in fields)
        return b"%b %b HTTP/1.1\r\n%b%b\r\n" % (method, target, HOST, lines)

    def _id(self, number: int) -> bytes:
        return b"X-Request-ID: %d-%d" % (self._number, number)

    def _item(self, number: int) -> bytes:
        return json.dumps({"name": f"{self._number}-{number}"}).encode()

    def _inner(self) -> bytes:
        """Return a request that nobody may execute while it is part of a body."""
        if self._chance(50):
            return b"DELETE %b HTTP/1.1\r\nHost: here\r\n\r\n" % self._canary
        item = json.dumps({"name": f"inner-{self._number}"}).encode()
        return self._head(b"POST", ITEMS, [JSON, b"Content-Length: %d" % len(item)]) + item

    def _damaged(self, head: bytes) -> bytes:
        """Change a few bytes, rarely."""
        if not self._chance(12):
            return head
        place = self._random.randrange(len(head))
        before, after = head[:place], head[place:]
        return self._random.choice((
            before + after[1:],
            before + self._random.randbytes(1) + after[1:],
            before + self._random.choice((b"\r", b"\n", b"\0", b" ", b"\xff")) + after,
            before.replace(CRLF, b"\n") + after,
            CRLF + head,
            before,
        ))  # fmt: skip

    def _packets(self, data: bytes) -> list[bytes]:
        """Split the data at random places; short data sometimes at every byte."""
        if len(data) < 400 and self._chance(5):
            return [data[place : place + 1] for place in range(len(data))]
        count = min(self._random.choice((0, 0, 1, 2, 4, 10)), max(len(data) - 1, 0))
        inside = self._random.sample(range(1, len(data)), count) if count else []
        places = [0, *sorted(inside), len(data)]
        return [data[start:end] for start, end in itertools.pairwise(places)]

    def _chance(self, percent: int) -> bool:
        return self._random.randrange(100) < percent
