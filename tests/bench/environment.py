"""What the scenarios run on: PostgreSQL with the service's schema, and processes to measure."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from dev.postgres import Postgres
from dev.process import wait_until

from .measured_process import MeasuredProcess, pinned_to_core

SERVICE_VARIABLES = {
    "SERVICE_ENVIRONMENT": "production",
    "SERVICE_HOST": "127.0.0.1",
    "OTEL_TRACES_EXPORTER": "none",
}
"""The settings of a deployed service. Traces are off unless a scenario measures them."""
LOGGED_STATEMENT = re.compile(rb"^service LOG:  (?:execute|statement)", re.MULTILINE)
MIGRATION_TIMEOUT = 120.0
LAYERS_TIMEOUT = 1800.0
"""Seconds for the measurement of all layers: it takes about one minute."""


class Environment:
    """A database for all scenarios, and servers that each scenario starts.

    The client, the database and the collector share the last core. The measured process has the
    first core for itself.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = Postgres(folder / "postgres", settings={"log_line_prefix": "%u "})
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self.postgres)
        self.variables = {**SERVICE_VARIABLES, "DATABASE_URL": self.postgres.url}
        subprocess.run(
            [sys.executable, "-m", *self.postgres.setup],
            env=os.environ | self.variables,
            check=True,
            stderr=subprocess.DEVNULL,
            timeout=MIGRATION_TIMEOUT,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def baseline(self, name: str, core: int = 0, **settings: object) -> MeasuredProcess:
        """Return an application of `baseline.py`, for a `with` block."""
        return MeasuredProcess(
            self.folder,
            "-m",
            "bench.baseline",
            name,
            environment=self._variables_with(settings),
            port_argument=True,
            core=core,
        )

    def breaker(self, name: str) -> MeasuredProcess:
        """Return an application of `breakers.py`, for a `with` block."""
        arguments = "-m", "bench.breakers", name
        return MeasuredProcess(
            self.folder, *arguments, environment=self.variables, port_argument=True
        )

    def unchanged_service(self) -> MeasuredProcess:
        """Return the generated service without additional routes, for a `with` block."""
        return MeasuredProcess(self.folder, "-m", "measured_service", environment=self.variables)

    def service(self, **settings: object) -> MeasuredProcess:
        """Return the generated service with additional routes, for a `with` block."""
        variables = self._variables_with(settings)
        return MeasuredProcess(self.folder, "-m", "bench.full_service", environment=variables)

    def cpu_by_layer(self, batches: int, **settings: object) -> dict[str, float]:
        """Return the microseconds of CPU per request through each layer, innermost first."""
        with pinned_to_core(0), (self.folder / "layers.log").open("wb") as log:
            process = subprocess.run(
                [sys.executable, "-m", "bench.layers", str(batches)],
                env=os.environ | self._variables_with(settings),
                stdout=log,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
                timeout=LAYERS_TIMEOUT,
            )
        if process.returncode:
            raise RuntimeError(process.stderr)
        microseconds: dict[str, float] = json.loads(process.stderr.splitlines()[-1])
        return microseconds

    def create_item(self, server: MeasuredProcess, path: str = "/items") -> str:
        """Create an item through the API, and return its path."""
        code, body = server.request(path, "POST", json.dumps({"name": "Lamp"}))
        item: dict[str, Any] = json.loads(body)
        if code != 201:
            raise RuntimeError(f"creating an item returned {code}: {body!r}")
        return f"{path}/{item['id']}"

    def insert_item(self) -> str:
        """Insert an item into the database, and return its path."""
        item = self.postgres.sql("INSERT INTO items (name) VALUES ('Lamp') RETURNING id")
        return f"/items/{item}"

    @contextlib.contextmanager
    def statement_log(self) -> Iterator[None]:
        """Log every statement of the database in a `with` block."""
        self._alter_system("SET log_statement = 'all'")
        try:
            yield
        finally:
            self._alter_system("RESET log_statement")

    def logged_statements(self) -> int:
        """Return how many statements of the service are in the log."""
        return len(LOGGED_STATEMENT.findall(self.postgres.log.read_bytes()))

    @contextlib.contextmanager
    def locked(self, path: str) -> Iterator[None]:
        """Lock the row of an item in a `with` block. Statements that wait for it fail soon."""
        item = path.rpartition("/")[2]
        lock = f"BEGIN; UPDATE items SET name = name WHERE id = '{item}'; SELECT pg_sleep(60)"
        holders = "FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        self._alter_system("SET lock_timeout = '100ms'")
        with ThreadPoolExecutor(1) as pool:
            holding = pool.submit(self.postgres.sql, lock)
            try:
                wait_until(lambda: self.postgres.sql(f"SELECT count(*) {holders}") != "0", 30)
                yield
            finally:
                self.postgres.sql(f"SELECT pg_terminate_backend(pid) {holders}")
                holding.exception()  # its session was ended
                self._alter_system("RESET lock_timeout")

    @contextlib.contextmanager
    def slow_reads(self, seconds: float) -> Iterator[None]:
        """Make each read of a row take some seconds in a `with` block."""
        columns = "kept.id, kept.name, kept.description, kept.created_at, kept.updated_at"
        slow = f"SELECT {columns} FROM kept CROSS JOIN LATERAL pg_sleep({seconds})"
        self.postgres.sql(
            "ALTER TABLE items RENAME TO kept;"
            f"CREATE VIEW items AS {slow};"
            "GRANT ALL ON items TO service"
        )
        try:
            yield
        finally:
            self.postgres.sql("DROP VIEW items; ALTER TABLE kept RENAME TO items")

    def _alter_system(self, setting: str) -> None:
        self.postgres.sql(f"ALTER SYSTEM {setting}")
        self.postgres.sql("SELECT pg_reload_conf()")

    def _variables_with(self, settings: dict[str, object]) -> dict[str, str]:
        return self.variables | {name: str(value) for name, value in settings.items()}


def one_percent_traced(collector: MeasuredProcess) -> dict[str, object]:
    """Return the settings that send one trace in a hundred to a collector."""
    return {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.01",
    }
