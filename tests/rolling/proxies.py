"""Real proxies, configured as the page "Run behind a proxy" of a generated service shows.

The configurations are read from the page. Only what differs between machines is replaced: the
addresses, and the intervals of the health checks, which are waiting times: see `clock.py`.
"""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dev.ports import free_port
from dev.process import Process
from faults.probe_client import OK, send_probe

from .clock import SPEEDUP, scaled

PAGE = Path("docs", "how-to", "run-behind-a-proxy.md")
"""In the folder of a service."""
RETRIES = "# retries"
"""Ends the lines of a configuration that are about retries."""
FIRST, SECOND = "10.0.0.11", "10.0.0.12"
"""The instances in the configurations."""
NGINX_CONF = """\
daemon off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
worker_processes 2;
events {{}}
http {{
access_log off;
client_body_temp_path {folder}/nginx-body;
proxy_temp_path {folder}/nginx-proxy;
fastcgi_temp_path {folder}/nginx-fastcgi;
uwsgi_temp_path {folder}/nginx-uwsgi;
scgi_temp_path {folder}/nginx-scgi;
{block}
}}
"""
"""What surrounds the block of the page."""


@dataclass(frozen=True)
class Kind:
    """A kind of proxy. language: of its block on the page. options: of its program.

    listen: the text on the page with its port, and what replaces it. interval: a regular
    expression for the interval of its health checks in seconds, and what replaces it.
    surroundings: what the page omits.
    """

    name: str
    language: str
    options: tuple[str, ...]
    listen: tuple[str, str]
    interval: tuple[str, str] = ("", "")
    surroundings: str = "{block}"

    @property
    def program(self) -> str | None:
        """The path of its program, also beside this Python, or None if it is not installed."""
        folders = [str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"]
        return shutil.which(self.name.lower(), path=os.pathsep.join(folders))

    def block(self, page: str, *, retries: bool) -> str:
        """Return its configuration, the last block in its language on the page.

        retries: whether to keep the lines about retries. Without them its defaults apply.
        """
        blocks = re.findall(rf"^```{self.language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
        lines = blocks[-1].splitlines()
        return "\n".join(line for line in lines if retries or not line.endswith(RETRIES))

    def adapted(self, block: str, port: int, upstreams: Sequence[int], speedup: float) -> str:
        """Replace the addresses in its configuration by loopback ports, and divide the interval."""
        lines: list[str] = []
        for line in block.splitlines():
            if FIRST in line:
                local = line.replace(FIRST, "127.0.0.1")
                lines += (
                    local.replace("8000", str(upstream)).replace(" first ", f" pod-{upstream} ")
                    for upstream in upstreams
                )
            elif SECOND not in line:
                lines.append(line)
        shown, own = self.listen
        text, replaced = "\n".join(lines), own.replace("PORT", str(port))
        if shown not in text or len(lines) != len(block.splitlines()) - 2 + len(upstreams):
            raise ValueError(f"the page does not show {shown!r} and two instances")
        pattern, period = self.interval

        def scale(found: re.Match[str]) -> str:
            seconds = scaled(float(found[1]), speedup)
            return period.format(seconds=seconds, ms=round(1000 * seconds))

        text = re.sub(pattern, scale, text) if pattern else text
        return text.replace(shown, replaced)


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "nginx",
            "nginx",
            ("-c",),
            listen=("listen 80;", "listen 127.0.0.1:PORT;"),
            surroundings=NGINX_CONF,
        ),
        Kind(
            "HAProxy",
            "haproxy",
            ("-db", "-f"),
            listen=("bind :80", "bind 127.0.0.1:PORT"),
            interval=(r"\binter (\d+)s\b", "inter {ms}ms"),
        ),
        Kind(
            "Envoy",
            "yaml",
            ("--disable-hot-restart", "--concurrency", "2", "--log-level", "warn", "-c"),
            listen=(
                "{address: 0.0.0.0, port_value: 80}",
                "{address: 127.0.0.1, port_value: PORT}",
            ),
            interval=(r"\binterval: (\d+)s\b", "interval: {seconds}s"),
        ),
    )
}


class Proxy:
    """A running proxy, until `stop`. block: its configuration. upstreams: the ports of the pods."""

    def __init__(
        self,
        kind: Kind,
        program: str,
        block: str,
        folder: Path,
        upstreams: Sequence[int],
        *,
        speedup: float = SPEEDUP,
    ) -> None:
        self.name = kind.name
        self.port = free_port()
        folder.mkdir()
        user = "user root;" if os.geteuid() == 0 else ""  # the folder is private
        text = kind.surroundings.format(
            folder=folder, user=user, block=kind.adapted(block, self.port, upstreams, speedup)
        )
        file = folder / f"{kind.name.lower()}.{'yaml' if kind.language == 'yaml' else 'conf'}"
        file.write_text(f"{text}\n", "utf-8")
        self.log = folder / "log"
        with self.log.open("ab") as log:
            self.process = Process([program, *kind.options, str(file)], output=log)

    async def wait_until_ready(self) -> None:
        """Wait until a client can reach a pod through it. Raises RuntimeError if it has ended."""
        while (await send_probe(self.port, "/health/ready")).status_code != OK:
            if self.process.status is not None:
                raise RuntimeError(f"{self.name} has ended: {self.log.read_text()}")
            await asyncio.sleep(0.05)

    def stop(self) -> None:
        """End it at once."""
        self.process.kill()
