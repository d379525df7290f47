"""Runs a script that starts servers, to test what happens when its process ends."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def run_starter(script: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python script and, whatever happens, kill it at the end."""
    command = [sys.executable, "-c", script, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_line(process: subprocess.Popen[bytes], text: str) -> None:
    """Return when the script has printed the line. Fails if the script ends first."""
    assert process.stdout
    assert f"{text}\n".encode() in iter(process.stdout.readline, b"")
