"""RabbitMQ servers in temporary folders, which a test can break."""

import shlex
import socket
import subprocess
from pathlib import Path
from typing import IO, Self

from dev.server import Server

from ..tools import tool

COOKIE = "test"
DEBIAN_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The server without the wrapper of Debian, which changes the user and the folder."""
GREETING = b"AMQP\x00\x00\x09\x01"
SETTINGS = {
    "default_user": "shop",
    "default_pass": "secret",
    "disk_free_limit.absolute": "1MB",
    "vm_memory_high_watermark.relative": "0.9",
}


def set_permissions(configure: str, write: str, read: str) -> str:
    """Return the expression that gives the user `shop` these permissions."""
    patterns = ", ".join(f'<<"{each}">>' for each in (configure, write, read))
    return (
        f'rabbit_auth_backend_internal:set_permissions(<<"shop">>, <<"/">>, {patterns}, <<"test">>)'
    )


NAME = 'rabbit_misc:r(<<"/">>, queue, <<"orders">>)'
CREATE_QUEUE = f'rabbit_amqqueue:declare({NAME}, true, false, [], none, <<"test">>)'
GRANT = set_permissions("^health_check$", "^amq.default$", "^$")
SETUP = (GRANT, CREATE_QUEUE)


class RabbitMQ(Server):
    """A server with the user `shop`.

    The name server of Erlang, epmd, is its child, so nothing is left when it ends.

    first: the other server of a cluster, whose name server this one uses.
    """

    name = "rabbitmq"
    variable = "RABBITMQ_URL"
    ports = 3
    start_timeout = 90.0  # it needs six seconds of a processor

    def __init__(self, folder: Path, *, first: "RabbitMQ | None" = None) -> None:
        super().__init__(folder)
        self.first = first

    @property
    def url(self) -> str:
        return f"amqp://shop:secret@127.0.0.1:{self.port}/"

    def __enter__(self) -> Self:
        super().__enter__()
        if not self.first:
            self.run(*SETUP)
        return self

    @property
    def node(self) -> str:
        return f"node-{self.port}@localhost"

    def prepare(self, _: IO[bytes]) -> None:
        settings = dict(SETTINGS)
        if self.first:
            settings["cluster_formation.classic_config.nodes.1"] = self.first.node
        lines = [f"{name} = {value}\n" for name, value in settings.items()]
        (self.folder / "rabbitmq.conf").write_text("".join(lines), "utf-8")
        cookie = self.folder / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(COOKIE, "utf-8")
            cookie.chmod(0o400)

    def command(self) -> list[str]:
        server = str(DEBIAN_SERVER) if DEBIAN_SERVER.exists() else tool("rabbitmq-server")
        variables = {
            "HOME": self.folder,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": (self.first or self).port + 2,
            "RABBITMQ_ALLOW_INPUT": 1,  # run in the foreground, without a shell around it
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": self.folder / "rabbitmq.conf",
            "RABBITMQ_DIST_PORT": self.port + 1,
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.folder / "plugins",
            "RABBITMQ_LOG_BASE": self.folder,
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_MNESIA_BASE": self.folder / "data",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": self.port,
            "RABBITMQ_PID_FILE": self.folder / "pid",
        }
        environment = [f"{name}={value}" for name, value in variables.items()]
        start = f"exec {shlex.quote(server)} -noinput"
        if not self.first:
            start = f"{shlex.quote(tool('epmd'))} & {start}"
        return ["env", *environment, "sh", "-c", start]

    def is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(GREETING)
                return b"RabbitMQ" in connection.recv(1000)
        except OSError:
            return False

    def run(self, *expressions: str) -> str:
        """Evaluate Erlang expressions in the server, as `rabbitmqctl` does. Return the last."""
        address = f"127.0.0.1:{self.port + 1}"
        command = [tool("erl_call"), "-c", COOKIE, "-timeout", "10", "-address", address, "-e"]
        text = ", ".join(expressions) + ".\n"
        done = subprocess.run(
            command, input=text, capture_output=True, check=True, text=True, timeout=20
        )
        assert done.stdout.startswith("{ok, "), done.stdout
        return done.stdout[len("{ok, ") : -1]
