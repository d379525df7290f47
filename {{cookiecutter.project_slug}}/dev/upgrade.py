"""Upgrade every pin in pyproject.toml, and uv.lock, to the newest versions that work together.

A bot that upgrades one package at a time cannot do this: some packages require an exact version of
another, for example pydantic of pydantic-core.
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

UV = os.environ.get("UV", "uv")
PYPROJECT = Path("pyproject.toml")
PLAIN = ("--quiet", "--no-header", "--no-annotate")
UV_PINS = {
    "Makefile": "UV_VERSION := ",
    "Dockerfile": "uv==",  # feature: docker
}
"""The files that contain the version of uv itself, with the text in front of it."""


def newest(requirements: Iterable[str], python: str) -> list[str]:
    """Pin all that the requirements need, for every platform and from this Python version on."""
    with (
        tempfile.TemporaryDirectory() as folder
    ):  # without a pyproject.toml whose pins uv would respect
        done = subprocess.run(
            [UV, "pip", "compile", "-", "--universal", f"--python-version={python}", *PLAIN],
            input="\n".join(requirements),
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            cwd=folder,
        )
    if done.returncode:
        sys.exit("No package was upgraded: see uv's error above.")
    pins = done.stdout.splitlines()
    versions = Counter(pin.partition("==")[0] for pin in pins)
    # A package's marker matters only if the package has two versions.
    return [pin if versions[pin.partition("==")[0]] > 1 else pin.split(" ")[0] for pin in pins]


def replace(text: str, key: str, pins: Iterable[str]) -> str:
    """Replace the pins in the TOML list called `key`, if it exists."""
    lines = "".join(f'    "{pin}",\n' for pin in pins)
    return re.sub(
        rf"^{key} = \[\n.*?^\]\n", f"{key} = [\n{lines}]\n", text, flags=re.DOTALL | re.MULTILINE
    )


def main() -> None:
    """Write the pins, print the new ones, and update uv.lock."""
    text = PYPROJECT.read_text("utf-8")
    data = tomllib.loads(text)
    python = data["project"]["requires-python"].removeprefix(">=")
    groups = data["dependency-groups"].values()
    direct = [*data["project"]["dependencies"], *(item for group in groups for item in group)]
    pins = newest(direct, python)
    build = newest(data["build-system"]["requires"], python)
    (uv,) = newest(["uv"], python)

    upgraded = replace(text, "constraint-dependencies", pins)
    upgraded = replace(upgraded, "build-constraint-dependencies", build)
    PYPROJECT.write_text(upgraded, "utf-8")
    for name, prefix in UV_PINS.items():
        file = Path(name)
        pinned = rf"(?<={re.escape(prefix)})[\d.]+"
        file.write_text(re.sub(pinned, uv.removeprefix("uv=="), file.read_text("utf-8")), "utf-8")

    for pin in [*pins, *build]:
        if f'"{pin}"' not in text:
            print(pin)
    subprocess.run([UV, "lock", "--upgrade", "--quiet"], check=True)


if __name__ == "__main__":
    main()
