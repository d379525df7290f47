"""What one connection must get, and what its requests may change."""

import json
import re

from .client import Answer, Conversation
from .requests import Stream
from .strict_parser import Meaning, Request, understand

PROBE = re.compile(r"/health/(live|ready|startup)(\?.*)?")
VALID_ID = re.compile(r"[a-z0-9._-]{1,128}")
LEAKS = re.compile(rb"Traceback|\.py\b|File \"|site-packages|object at 0x")
NO_ANSWER = "a request has no answer"
NOT_REJECTED = "not rejected"


def understand_stream(stream: Stream) -> Meaning:
    """Return what a second, strict parser understands, or what the stream was built from."""
    if stream.names is not None:  # too large for that parser
        method = stream.data.partition(b" ")[0].decode()
        return Meaning([Request(method, "/items", [])], end="close", has_more=True)
    return understand(stream.data)


def permitted_names(meaning: Meaning) -> list[str]:
    """Return the names of the items that the requests of a connection may create."""
    names = []
    for request in meaning.requests:
        if request.method == "POST" and request.target.partition("?")[0] == "/items":
            try:
                content = json.loads(request.body)
            except (ValueError, RecursionError):
                continue
            if isinstance(content, dict):
                names.append(str(content.get("name")).strip())
    return names


def deletes(meaning: Meaning, path: str) -> bool:
    """Return whether a connection has a request that deletes an item."""
    partial = [meaning.partial] if meaning.partial else []
    requests = [*meaning.requests, *partial]
    return any(request.method == "DELETE" and request.target == path for request in requests)


def disagreement(stream: Stream, meaning: Meaning, received: Conversation, secret: bytes) -> str:
    """Return what was wrong with the answers to one connection, or ""."""
    if LEAKS.search(received.received) or secret in received.received:
        return "an answer shows code or a secret"
    if received.unreadable:
        return f"an answer is malformed: {received.unreadable}"
    if any(answer.status >= 500 for answer in received.answers):
        return "an answer is a failure of the service"
    if stream.ending == "abandon":
        return ""
    if stream.statuses is not None:
        return _differs(stream.statuses, meaning, received)
    wrong = _unexplained(meaning, received)
    # A client that closes its half of the connection counts as gone, as uvicorn has it.
    return "" if wrong in {NO_ANSWER, NOT_REJECTED} and stream.ending == "half-close" else wrong


def _differs(statuses: list[set[int]], meaning: Meaning, received: Conversation) -> str:
    """Compare with the statuses that valid requests must get."""
    if len(received.answers) != len(statuses):
        return f"{len(received.answers)} answers to {len(statuses)} valid requests"
    for expected, request, answer in zip(statuses, meaning.requests, received.answers, strict=True):
        if answer.status not in expected:
            return f"{answer.status} is not one of {expected}"
        if answer.status not in {413, 431} and not _belongs_to(request, answer):
            return "an answer belongs to another request"
    return ""


def _unexplained(meaning: Meaning, received: Conversation) -> str:
    """Compare with a strict parser. A rejection is always right, as the last answer."""
    complete = len(meaning.requests)
    requests = [*meaning.requests, *([meaning.partial] if meaning.partial else [])]
    answers = list(received.answers)
    rejected = bool(answers) and answers[-1].is_rejection and received.closed
    if rejected:
        answers.pop()
    if len(answers) > len(requests):
        return "more answers than requests"
    for request, answer in zip(requests, answers, strict=False):
        if not _belongs_to(request, answer):
            return "an answer belongs to another request"
    if rejected:
        return "rejected after its answer" if len(answers) > complete else ""
    if answers and received.closed and _has_coding(requests[len(answers) - 1]):
        # Its chunks or trailers may be malformed for the service, which had answered it.
        return ""
    if len(answers) < complete:
        # Unread data behind a rejection can reset the connection before the answer is read.
        return "" if received.reset and meaning.has_more else NO_ANSWER
    is_answered = len(answers) > complete
    return NOT_REJECTED if meaning.end == "rejection" and not is_answered else ""


def _has_coding(request: Request) -> bool:
    return any(name == "transfer-encoding" for name, _ in request.fields)


def _belongs_to(request: Request, answer: Answer) -> bool:
    """Return whether an answer has the id of a request, which only probes do not have."""
    ids = {value for name, value in request.fields if name == "x-request-id"}
    sent = set(filter(VALID_ID.fullmatch, ids))
    got = answer.headers.get("x-request-id", "").lower()
    return not sent or got in sent or (not got and PROBE.fullmatch(request.target) is not None)
