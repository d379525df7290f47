"""Many replicas check one database: their connections, and how they recover after it was frozen.

    REPLICAS=40 python -m pytest -s tests/dependencies/test_postgres_replicas.py

prints the figures in docs/decisions/0008-two-connections-for-postgres-checks.md.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dev.postgres import Postgres

from ..processes import wait_until
from .postgres_server import migrate

REPLICAS = int(os.environ.get("REPLICAS", "6"))
SECONDS = 20.0 if "REPLICAS" in os.environ else 1.0
"""How long each phase is measured."""
CONNECTIONS = 2
"""Of each replica: those of the checks."""
WITHIN = 60.0
SESSIONS = "FROM pg_stat_activity WHERE usename = 'service'"


class Replicas:
    """The running processes, and their attempts."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._attempts: list[float] = []
        self._status: dict[str, str] = {}

    def read(self) -> None:
        """Take the lines of the processes until they end."""
        assert self._process.stdout
        for line in self._process.stdout:
            at, process, check, status = line.split()
            if check != "postgres.pool":  # which sends no query
                self._attempts.append(float(at))
                self._status[f"{process} {check}"] = status

    def are_all(self, status: str) -> bool:
        """Return whether the check of the server has a status in every process."""
        found = [each for name, each in self._status.copy().items() if name.endswith(" postgres")]
        return len(found) == REPLICAS and set(found) == {status}

    def fail_requests(self) -> None:
        """Let requests of every process fail at the same moment."""
        os.killpg(self._process.pid, signal.SIGUSR1)

    def measure(self, phase: str, since: float) -> None:
        """Print how many attempts have ended: per second, and at most in 100 ms."""
        found = [at for at in self._attempts.copy() if at >= since]
        peak = max(Counter(int(at * 10) for at in found).values(), default=0)
        rate = len(found) / (time.time() - since)
        sys.stdout.write(f"{phase}: {rate:.0f} per second, at most {peak} in 0.1 s\n")


@contextmanager
def run_replicas(url: str) -> Iterator[Replicas]:
    """Run the processes in a group of their own."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.dependencies.postgres_replicas", str(REPLICAS)],
        env={**os.environ, "DATABASE_URL": url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    ) as process:
        replicas = Replicas(process)
        reader = threading.Thread(target=replicas.read)
        reader.start()
        try:
            yield replicas
        finally:
            assert process.stdin
            process.stdin.close()
            reader.join(WITHIN)


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    settings = {"max_connections": str(4 * CONNECTIONS * REPLICAS + 20)}
    with Postgres(tmp_path / "postgres", settings=settings) as server:
        migrate(server)
        yield server


def test_replicas_use_two_connections_each_and_recover_from_a_freeze(postgres: Postgres) -> None:
    def sessions() -> int:
        return int(postgres.sql(f"SELECT count(*) {SESSIONS}"))

    def settled() -> bool:
        return replicas.are_all("pass") and sessions() == CONNECTIONS * REPLICAS

    def measure(phase: str) -> None:
        since = time.time()
        time.sleep(SECONDS)
        replicas.measure(phase, since)

    with run_replicas(postgres.url) as replicas:
        wait_until(settled, WITHIN)
        name = postgres.sql(f"SELECT DISTINCT application_name {SESSIONS}")
        assert name.startswith("reference_service@")
        measure("idle")
        postgres.pause()
        try:
            replicas.fail_requests()
            wait_until(lambda: replicas.are_all("fail"), WITHIN)
            measure("frozen")
        finally:
            postgres.resume()
        since = time.time()
        most = 0

        def recovered() -> bool:
            nonlocal most
            most = max(most, sessions())
            return settled()

        seconds = wait_until(recovered, WITHIN)
        sys.stdout.write(f"recovered after {seconds:.1f} s, with at most {most} sessions\n")
        replicas.measure("recovering", since)
        assert most <= 2 * CONNECTIONS * REPLICAS  # each new one replaces one that hung
