"""Builds images with buildah: it needs root, but no container engine and no registry."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .base_image import NAME, BaseImageError

BASE = f"localhost/python-stand-in:{NAME}"
BASE_SETTINGS = ("--env=PATH=/usr/local/bin:/usr/bin:/bin", "--env=LANG=C.UTF-8", "--cmd=python3")


class Buildah:
    """Buildah with everything that it stores below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = os.environ | {"BUILDAH_ISOLATION": "chroot", "TMPDIR": str(folder)}

    def __call__(self, *arguments: str) -> str:
        """Run a command of buildah and return its output. Raises CalledProcessError."""
        storage = ["--root", f"{self._folder}/root", "--runroot", f"{self._folder}/run"]
        # Its mounts end with the namespace, even if buildah is killed.
        command = ["unshare", "--mount", "buildah", "--storage-driver=vfs", *storage, *arguments]
        ended = subprocess.run(
            command, env=self._environment, stdout=subprocess.PIPE, text=True, check=True
        )
        return ended.stdout.strip()

    def import_base(self, files: Path) -> None:
        """Import the files of the stand-in for the base image if it is missing.

        Raises BaseImageError if buildah cannot run anything on this machine.
        """
        if BASE in self("images", "--format={{.Name}}:{{.Tag}}").split():
            return
        container = self("from", "scratch")
        self("add", "--quiet", container, str(files), "/")
        self("config", *BASE_SETTINGS, container)
        try:
            self("run", container, "true")
        except subprocess.CalledProcessError:
            raise BaseImageError("buildah can run nothing on this machine") from None
        self("commit", "--quiet", "--rm", container, BASE)

    def build(self, context: Path, tag: str, arguments: Mapping[str, str], *options: str) -> None:
        """Build the Dockerfile of a folder on the stand-in.

        Only Docker's format of images has a health check.
        """
        values = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        fixed = ["--from", BASE, "--pull=never", "--format=docker", "--tag", tag]
        self("build", *fixed, *values, *options, str(context))

    def settings(self, image: str) -> dict[str, Any]:
        """Return the settings of an image, as `docker inspect` shows them."""
        inspected = json.loads(self("inspect", "--type=image", image))
        settings: dict[str, Any] = inspected["Docker"]["config"]
        return settings

    def files(self, image: str) -> Path:
        """Return a folder with a copy of the files of an image."""
        return Path(self("mount", self("from", "--pull-never", image)))

    def clean(self) -> None:
        """Delete all containers, and all images except the stand-in."""
        self("rm", "--all")
        images = self("images", "--format={{.ID}} {{.Name}}:{{.Tag}}").splitlines()
        others = [line.partition(" ")[0] for line in images if not line.endswith(BASE)]
        if others:
            self("rmi", "--force", *others)

    def reset(self) -> None:
        """Delete everything that is stored, also if a killed run left it damaged."""
        for name in ("root", "run"):
            shutil.rmtree(self._folder / name, ignore_errors=True)
