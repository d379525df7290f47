"""What the scenarios play on: a PostgreSQL with the service's schema, and processes to measure."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from dev.postgres import Postgres

from .measured_process import Subject, on_core

SERVICE = {
    "SERVICE_ENVIRONMENT": "production",
    "SERVICE_HOST": "127.0.0.1",
    "OTEL_TRACES_EXPORTER": "none",
}
"""As it is deployed; without traces until a scenario wants them."""


STATEMENT = re.compile(rb"^service LOG:  (?:execute|statement)", re.MULTILINE)


class Stage:
    """A database that lasts for all scenarios, and servers that each scenario asks for.

    Client, databases and sink share the last core; what is measured has the first for itself.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = Postgres(folder / "postgres", settings={"log_line_prefix": "%u "})
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self.postgres)
        self.environment = {**SERVICE, "DATABASE_URL": self.postgres.url}
        migrate = [sys.executable, "-m", *self.postgres.setup]
        environment = os.environ | self.environment
        subprocess.run(migrate, env=environment, check=True, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def bare(self, what: str, core: int = 0) -> Subject:
        """Return a process of `baseline.py`, to be entered."""
        return Subject(
            self.folder,
            "-m",
            "bench.baseline",
            what,
            environment=self.environment,
            port_at_end=True,
            core=core,
        )

    def deployed(self) -> Subject:
        """Return the generated service as it is, to be entered."""
        return Subject(self.folder, "-m", "measured_service", environment=self.environment)

    def service(self, **settings: object) -> Subject:
        """Return the generated service with further routes, to be entered."""
        return Subject(self.folder, "-m", "bench.full_service", environment=self._with(settings))

    def layers(self, batches: int, **settings: object) -> dict[str, float]:
        """Return the microseconds of a request through each layer, the innermost first."""
        with on_core(0), (self.folder / "layers.log").open("wb") as log:
            ended = subprocess.run(
                [sys.executable, "-m", "bench.layers", str(batches)],
                env=os.environ | self._with(settings),
                stdout=log,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        if ended.returncode:
            raise RuntimeError(ended.stderr)
        costs: dict[str, float] = json.loads(ended.stderr.splitlines()[-1])
        return costs

    def item(self, subject: Subject, path: str = "/items") -> str:
        """Make an item, and return the path where it is read."""
        code, body = subject.fetch(path, "POST", json.dumps({"name": "Lamp"}))
        made: dict[str, Any] = json.loads(body)
        if code != 201:
            raise RuntimeError(f"An item was answered {code}: {body!r}")
        return f"{path}/{made['id']}"

    def row(self) -> str:
        """Have an item in the database, and return the path where it is read."""
        made = self.postgres.sql("INSERT INTO items (name) VALUES ('Lamp') RETURNING id")
        return f"/items/{made}"

    @contextlib.contextmanager
    def statements_logged(self) -> Iterator[None]:
        """Have the database write down every statement."""
        self._set("SET log_statement = 'all'")
        try:
            yield
        finally:
            self._set("RESET log_statement")

    def statements(self) -> int:
        """Return how many the service has sent, as far as they were logged."""
        return len(STATEMENT.findall(self.postgres.log.read_bytes()))

    @contextlib.contextmanager
    def slow_rows(self, seconds: float) -> Iterator[None]:
        """Have each row that is read take so long."""
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

    def _set(self, setting: str) -> None:
        self.postgres.sql(f"ALTER SYSTEM {setting}")
        self.postgres.sql("SELECT pg_reload_conf()")

    def _with(self, settings: dict[str, object]) -> dict[str, str]:
        return self.environment | {name: str(value) for name, value in settings.items()}


def sampled(sink: Subject) -> dict[str, object]:
    """Return the settings that send one trace in a hundred to a collector."""
    return {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{sink.port}",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.01",
    }
