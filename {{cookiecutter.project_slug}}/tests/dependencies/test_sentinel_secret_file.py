"""The password of the sentinels in a file: a new one needs no restart."""

from pathlib import Path

from pydantic import SecretStr
from redis.asyncio.sentinel import MasterNotFoundError

from dev.sentinel import Sentinels

from reference_service.dependencies.redis import Redis, RedisSettings
from reference_service.dependencies.sentinel import (
    SentinelSettings,
    route_through_sentinel,
)
from reference_service.secret_files import SecretFile

from ..processes import eventually

OLD, NEW = "old-hunter2", "new-hunter2"


async def test_new_password_of_the_sentinels_is_read_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{OLD}\n")
    with Sentinels(tmp_path / "sentinels") as group:
        settings = SentinelSettings(
            sentinels=group.url,
            sentinel_username="app",
            sentinel_password=SecretFile(file),
        )
        [sentinel] = route_through_sentinel(
            Redis(RedisSettings(url=SecretStr("redis://"))), settings
        )

        async def is_found() -> bool:
            try:
                return bool(await sentinel.find_primary())
            except MasterNotFoundError:
                return False

        async def is_lost() -> bool:
            return not await is_found()

        for password, condition in ((OLD, is_found), (NEW, is_lost)):
            for each in group.sentinels:
                each.ask("ACL", "SETUSER", "app", "resetpass", "on", f">{password}", "+@all")
            await eventually(condition)
        file.write_text(f"{NEW}\n")
        await eventually(is_found)
