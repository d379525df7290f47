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
PYPROJECT, LOCK = Path("pyproject.toml"), Path("uv.lock")
PLAIN = ("--quiet", "--no-header", "--no-annotate")
UV_PINS = {
    "Makefile": "UV_VERSION := ",
    "Dockerfile": "uv==",  # feature: docker
}
"""The files that contain the version of uv itself, with the text in front of it."""
UNCHANGED = "No package was upgraded: see uv's error above."


def newest(requirements: Iterable[str], python: str, *options: str) -> list[str]:
    """Pin all that the requirements need, for every platform and from this Python version on."""
    command = [UV, "pip", "compile", "-", "--universal", f"--python-version={python}"]
    with (
        tempfile.TemporaryDirectory() as folder
    ):  # without a pyproject.toml whose pins uv would respect
        done = subprocess.run(
            [*command, *PLAIN, *options],
            input="\n".join(requirements),
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            cwd=folder,
        )
    if done.returncode:
        sys.exit(UNCHANGED)
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
    # Ask the package index once: its servers can differ for minutes after a release.
    pins = newest(direct, python, "--refresh")
    build = newest(data["build-system"]["requires"], python)
    (uv,) = newest(["uv"], python)

    changed = PYPROJECT, LOCK, *map(Path, UV_PINS)
    before = {file: file.read_bytes() for file in changed if file.exists()}
    upgraded = replace(text, "constraint-dependencies", pins)
    upgraded = replace(upgraded, "build-constraint-dependencies", build)
    PYPROJECT.write_text(upgraded, "utf-8")
    for name, prefix in UV_PINS.items():
        file = Path(name)
        pinned = rf"(?<={re.escape(prefix)})[\d.]+"
        file.write_text(re.sub(pinned, uv.removeprefix("uv=="), file.read_text("utf-8")), "utf-8")
    LOCK.unlink(missing_ok=True)  # `uv lock --upgrade` would ask the package index again
    if subprocess.run([UV, "lock", "--quiet"], check=False).returncode:
        for file, content in before.items():
            file.write_bytes(content)
        sys.exit(UNCHANGED)

    for pin in [*pins, *build]:
        if f'"{pin}"' not in text:
            print(pin)


if __name__ == "__main__":
    main()
