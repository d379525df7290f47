"""A MariaDB server of its own in a temporary folder, which a test can break."""

import subprocess
from typing import IO, Any, Self

import pymysql  # type: ignore[import-untyped]

from dev.server import Server

from ..tools import tool

SETUP = (
    "CREATE DATABASE shop",
    "CREATE TABLE shop.health_check (id INT PRIMARY KEY, checked_at DATETIME(6))",
    "CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY)",
    "CREATE USER shop@'127.0.0.1' IDENTIFIED BY 'secret'",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON shop.* TO shop@'127.0.0.1'",
    "GRANT SLAVE MONITOR ON *.* TO shop@'127.0.0.1'",
    "RESET MASTER",
)


class MariaDB(Server):
    """A server with the database and the user `shop`."""

    name = "mariadb"
    variable = "MARIADB_URL"

    @property
    def url(self) -> str:
        return f"mysql://shop:secret@127.0.0.1:{self.port}/shop"

    def __enter__(self) -> Self:
        super().__enter__()
        self.sql(*SETUP)
        return self

    def prepare(self, log: IO[bytes]) -> None:
        data = self.folder / "data"
        if not data.exists():
            options = [
                "--no-defaults",
                "--skip-test-db",
                "--auth-root-authentication-method=normal",
            ]
            program = tool("mariadb-install-db", package="mariadb-server")
            command = [program, *options, "--user=root", f"--datadir={data}"]
            subprocess.run(command, check=True, stdout=log, stderr=log)

    def command(self) -> list[str]:
        settings = {
            "datadir": str(self.folder / "data"),
            "user": "root",
            "socket": "socket",
            "bind-address": "127.0.0.1",
            "port": str(self.port),
            "server-id": str(self.port),
            "log-bin": "binlog",
            "innodb-flush-log-at-trx-commit": "0",
            "innodb-buffer-pool-size": "16M",
            "skip-name-resolve": "ON",
            **self.settings,
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [tool("mariadbd", package="mariadb-server"), "--no-defaults", *options]

    def is_ready(self) -> bool:
        try:
            self.connect("root", "").close()
        except pymysql.Error:
            return False
        return True

    def connect(self, user: str = "shop", password: str = "secret", patience: float = 1) -> Any:
        """Open a connection. Its statements are committed at once, and fail after `patience`."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=user,
            password=password,
            autocommit=True,
            connect_timeout=2,
            read_timeout=patience,
        )

    def sql(self, *statements: str) -> None:
        """Run statements as the administrator."""
        with self.connect("root", "", 30) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
