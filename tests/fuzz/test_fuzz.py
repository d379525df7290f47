"""A short run of what `make fuzz` does for half an hour."""

from pathlib import Path

import pytest

from .answers import random_answers, try_answers
from .client import Answer, Conversation
from .judge import disagreement, permitted_names, understand_stream
from .requests import Requests, Stream
from .run import Result, run_batch
from .target import Prober, Target

SEED = "make test"
CONNECTIONS = 400
PROBE_TIMEOUT = 30.0
"""Seconds for a probe on a machine that runs other tests. `make fuzz` allows five."""


@pytest.mark.service
def test_hostile_requests_get_only_right_answers_and_leave_nothing(tmp_path: Path) -> None:
    result = Result()
    with Target(tmp_path / "service") as target, Prober(target, PROBE_TIMEOUT) as prober:
        run_batch(target, SEED, CONNECTIONS, result)
        assert target.exit_status() is None
    assert not result.findings, "\n".join(result.findings[:3])
    assert prober.wrong == []
    assert target.status == 0
    assert len(result.connections) == 7
    assert result.items > CONNECTIONS / 10


@pytest.mark.parametrize("seed", ["a", "b"])
def test_random_answers_are_rejected_with_sentences_or_come_out_as_given(
    tmp_path: Path, seed: str
) -> None:
    assert not try_answers(tmp_path, seed)


def test_a_seed_always_gives_the_same_input() -> None:
    def streams(seed: str) -> list[tuple[bytes, list[bytes], str]]:
        requests = Requests(seed, b"/items/canary")
        made = [requests.stream() for _ in range(100)]
        return [(each.data, each.packets, each.ending) for each in made]

    assert streams("1") == streams("1") != streams("2")
    assert random_answers("1") == random_answers("1") != random_answers("2")


CREATE = (
    b"POST /items HTTP/1.1\r\nHost: here\r\nX-Request-ID: 1-0\r\nContent-Length: 15\r\n"
    b'Connection: close\r\n\r\n{"name": "1-0"}'
)
CREATED = b"HTTP/1.1 201 Created\r\nx-request-id: 1-0\r\ncontent-length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    ("answers", "wrong"),
    [
        (CREATED, ""),
        (b"", "0 answers to 1 valid requests"),
        (CREATED * 2, "2 answers to 1 valid requests"),
        (CREATED.replace(b"1-0", b"1-1"), "an answer belongs to another request"),
        (CREATED.replace(b"201", b"200"), "200 is not one of {201}"),
        (CREATED.replace(b"201", b"500"), "an answer is a failure of the service"),
        (CREATED.replace(b": 2", b": x"), "an answer is malformed: bad Content-Length"),
        (CREATED.replace(b"{}", b".."), ""),
        (CREATED.replace(b"1 201 C", b"1 201 planted C"), "an answer shows code or a secret"),
        (CREATED[:-2] + b"{}\r\nTraceback (most recent", "an answer shows code or a secret"),
    ],
)
def test_each_wrong_answer_to_a_valid_request_is_found(answers: bytes, wrong: str) -> None:
    stream = Stream("valid", CREATE, statuses=[{201}])
    assert judged(stream, answers) == wrong


@pytest.mark.parametrize(
    ("data", "answers", "wrong"),
    [
        (b"GET /items HTTP/1.1\r\n\r\n", CREATED, "more answers than requests"),
        (b"GET /items HTTP/1.1\r\n\r\n", b"", "not rejected"),
        (CREATE, b"", "a request has no answer"),
        (CREATE, CREATED + CREATED, "more answers than requests"),
    ],
)
def test_each_wrong_answer_to_a_malformed_request_is_found(
    data: bytes, answers: bytes, wrong: str
) -> None:
    assert judged(Stream("mutated", data), answers) == wrong


def test_malformed_trailer_of_an_answered_request_may_close_the_connection() -> None:
    answered = CREATE.replace(b"Connection: close", b"Transfer-Encoding: chunked")
    answered = answered.replace(b"Content-Length: 15\r\n", b"").replace(
        b'{"name": "1-0"}', b"0\r\n"
    )
    assert judged(Stream("mutated", answered + b"Host: there\r\n\r\n" + CREATE), CREATED) == ""


def judged(stream: Stream, answers: bytes) -> str:
    meaning = understand_stream(stream)
    received = Conversation(meaning.methods)
    received.add(answers)
    received.add(b"")
    return disagreement(stream, meaning, received, b"planted")


def test_only_the_items_of_understood_requests_may_exist() -> None:
    inner = CREATE.replace(b"/items ", b"/other ").replace(b": 15", b": %d" % (15 + len(CREATE)))
    assert permitted_names(understand_stream(Stream("mutated", CREATE))) == ["1-0"]
    assert permitted_names(understand_stream(Stream("mutated", inner + CREATE))) == []


def test_an_answer_is_a_rejection_only_if_it_closes_the_connection() -> None:
    assert Answer(400, {"connection": "close"}, b"").is_rejection
    assert not Answer(404, {}, b"").is_rejection
