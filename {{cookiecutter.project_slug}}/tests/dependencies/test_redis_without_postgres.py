"""The cache answers what it can while the database is frozen."""

import subprocess
import sys
from pathlib import Path

import httpx

from dev.postgres import Postgres
from dev.valkey import Valkey

from ..conftest import StartService
from ..domain import CHANGE, NEW, PATH
from ..processes import wait_until


def test_cached_item_is_read_while_the_database_is_frozen(
    start_service: StartService, tmp_path: Path
) -> None:
    with Postgres(tmp_path / "postgres") as postgres, Valkey(tmp_path / "valkey") as valkey:
        command = [sys.executable, "-m", "alembic", "upgrade", "head"]
        subprocess.run(command, env={"DATABASE_URL": postgres.url}, check=True, timeout=60)
        service = start_service(
            REDIS_SENTINELS="",  # feature: sentinel
            DATABASE_URL=postgres.url,
            REDIS_URL=valkey.url,
        )
        service.until_ready()
        cached = service.api.post(PATH, json=NEW).headers["location"]
        item = service.api.get(cached).json()
        other = service.api.post(PATH, json=NEW).headers["location"]

        def answer(method: str, path: str) -> tuple[int, object]:
            body = CHANGE if method == "PATCH" else None
            response: httpx.Response = service.api.request(method, path, json=body)
            return response.status_code, response.json()

        postgres.pause()
        try:
            wait_until(lambda: answer("PATCH", other)[0] == answer("GET", other)[0] == 503)
            assert answer("GET", cached) == (200, item)
        finally:
            postgres.resume()
        service.until_ready()
        assert answer("PATCH", cached)[0] == 200
