"""The soak judges memory, leaks, lost requests and unexplained verdicts."""

from .judge import Counts, check_answers, check_counts, check_memory, check_verdicts
from .samples import Sample
from .schedule import Interval


def sample(at: float, *, heap: float = 100.0, verdict: str = "pass") -> Sample:
    return Sample(at, 1.0, 2.0, {200: 10}, 0, 1.0, 20.0, heap, 8, 40, verdict, [])


def test_memory_that_grows_fails_the_check() -> None:
    steady = [sample(at) for at in range(60)]
    growing = [sample(at, heap=100 + at / 2) for at in range(60)]
    assert check_memory(steady).passed
    assert not check_memory(growing).passed


def test_leaked_files_fail_the_check() -> None:
    before = Counts(tasks=20, files=40, threads=8, database=15, redis=10)
    leaked = Counts(tasks=20, files=60, threads=8, database=15, redis=10)
    assert check_counts(before, before).passed
    assert not check_counts(before, leaked).passed


def test_unanswered_request_fails_the_check() -> None:
    assert check_answers(100, []).passed
    assert not check_answers(100, ["TimeoutError()"]).passed


def test_verdict_without_a_fault_fails_the_check() -> None:
    faults = [Interval("PostgreSQL frozen", 5.0, 11.0)]
    explained = [sample(3), sample(8, verdict="fail"), sample(20, verdict="warn"), sample(30)]
    short = [sample(at, verdict="warn") for at in (40, 44)]
    lasting = [*short, sample(45, verdict="warn")]
    assert check_verdicts(explained, faults).passed
    assert check_verdicts([*explained, *short, sample(46)], faults).passed
    assert not check_verdicts([*explained, *lasting], faults).passed
