"""Moves every pin of pyproject.toml, and uv.lock with it, to the newest versions that fit together.

A bot that raises one package after the other cannot do this: some want one version of another, as
pydantic wants one of pydantic-core.
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
OF_UV = {
    "Makefile": "UV_VERSION := ",
    "Dockerfile": "uv==",  # feature: docker
}
"""Where the version of uv itself stands, and after which words."""


def newest(requirements: Iterable[str], python: str) -> list[str]:
    """Pin whatever the requirements need, for every platform and from this Python on."""
    with tempfile.TemporaryDirectory() as elsewhere:  # where uv finds no pins that hold it back
        ended = subprocess.run(
            [UV, "pip", "compile", "-", "--universal", f"--python-version={python}", *PLAIN],
            input="\n".join(requirements),
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            cwd=elsewhere,
        )
    if ended.returncode:
        sys.exit("Nothing has moved, for the reason that uv gives above.")
    pins = ended.stdout.splitlines()
    versions = Counter(pin.partition("==")[0] for pin in pins)
    # The marker of a package tells something only where there are two versions of it.
    return [pin if versions[pin.partition("==")[0]] > 1 else pin.split(" ")[0] for pin in pins]


def replace(text: str, key: str, pins: Iterable[str]) -> str:
    """Put the pins in the place of those that the TOML list called `key` has, if there is one."""
    lines = "".join(f'    "{pin}",\n' for pin in pins)
    return re.sub(
        rf"^{key} = \[\n.*?^\]\n", f"{key} = [\n{lines}]\n", text, flags=re.DOTALL | re.MULTILINE
    )


def main() -> None:
    """Write the pins, print those that are new, and lock what they say."""
    text = PYPROJECT.read_text("utf-8")
    data = tomllib.loads(text)
    python = data["project"]["requires-python"].removeprefix(">=")
    groups = data["dependency-groups"].values()
    direct = [*data["project"]["dependencies"], *(each for group in groups for each in group)]
    pins = newest(direct, python)
    build = newest(data["build-system"]["requires"], python)
    (uv,) = newest(["uv"], python)

    moved = replace(text, "constraint-dependencies", pins)
    moved = replace(moved, "build-constraint-dependencies", build)
    PYPROJECT.write_text(moved, "utf-8")
    for name, words in OF_UV.items():
        file = Path(name)
        pinned = rf"(?<={re.escape(words)})[\d.]+"
        file.write_text(re.sub(pinned, uv.removeprefix("uv=="), file.read_text("utf-8")), "utf-8")

    for pin in [*pins, *build]:
        if f'"{pin}"' not in text:
            print(pin)
    subprocess.run([UV, "lock", "--upgrade", "--quiet"], check=True)


if __name__ == "__main__":
    main()
