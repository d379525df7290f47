"""Runs the files of an image as a hardened container does."""

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

from dev.process import Process

TIMEOUT = 1200.0
"""Seconds that a command can take."""

# $0 is the root. In a mount namespace of its own: nothing can be written except below /tmp.
ENTER = """
mount --bind "$0" "$0"
mount -o remount,bind,ro "$0"
mount --rbind /proc "$0/proc"
mount --rbind /dev "$0/dev"
mount -t tmpfs -o mode=1777 tmpfs "$0/tmp"
for volume in $VOLUMES; do mount --bind "${volume%:*}" "$0${volume#*:}"; done
exec setpriv --no-new-privs chroot --userspec="$1" --groups= "$0" /usr/bin/env -i "${@:2}"
"""

PROBE = """
mknod null c 1 3
: > null
mkdir mounted
mount -t tmpfs tmpfs mounted
mount --rbind /dev mounted
chroot / true
"""
"""What debootstrap, buildah and these containers must be allowed to do."""


def why_impossible(folder: Path) -> str:
    """Return why this machine does not allow containers below a folder, or nothing."""
    if os.geteuid() != 0:
        return "only root can run containers without an engine"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        command = ["unshare", "--mount", "sh", "-ec", PROBE]
        ended = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    if ended.returncode == 0:
        return ""
    return f"mounts, devices or chroot are not allowed: {ended.stderr.strip()}"


class Container:
    """The files of an image on the machine's network, without privileges and read-only.

    settings: as `Buildah.settings` returns them. volumes: files and folders of the machine, each
    with an existing place in the container. They are writable for those who own them.
    """

    def __init__(
        self,
        root: Path,
        settings: Mapping[str, Any],
        volumes: Mapping[Path, str] = MappingProxyType({}),
    ) -> None:
        self.root = root
        self._settings = settings
        mounted = " ".join(f"{path.resolve()}:{place}" for path, place in volumes.items())
        self._environment = {"PATH": os.environ["PATH"], "VOLUMES": mounted}

    @property
    def command(self) -> list[str]:
        """The command that the image runs."""
        return [*self._settings["Entrypoint"], *self._settings["Cmd"]]

    def check_health(self, port: int, probe: str = "live") -> tuple[int, str]:
        """Run the health check of the image, with this probe: its exit status and its output."""
        _, *command, _ = self._settings["Healthcheck"]["Test"]
        return self.run([*command, probe], SERVICE_PORT=str(port))

    def start(self, command: Sequence[str], output: IO[bytes], **variables: str) -> Process:
        """Start a command with the variables of the image and more. Its first process id is it."""
        return Process(
            self._entered(command, variables), output=output, environment=self._environment
        )

    def run(self, command: Sequence[str], **variables: str) -> tuple[int, str]:
        """Run a command to its end; return its exit status and its output."""
        ended = subprocess.run(
            self._entered(command, variables),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        return ended.returncode, ended.stdout

    def _entered(self, command: Sequence[str], variables: Mapping[str, str]) -> list[str]:
        values = [f"{name}={value}" for name, value in variables.items()]
        inside = [f"--chdir={self._settings['WorkingDir']}", *self._settings["Env"], *values]
        user = self._settings["User"]
        shell = ["unshare", "--mount", "bash", "-ec", ENTER, str(self.root), user]
        return [*shell, *inside, *command]
