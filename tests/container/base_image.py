"""Makes a stand-in for the image `python:3.14-slim` from Debian's packages, without a registry.

It is like that image where the Dockerfile could notice: Debian without recommended packages,
`python` and `pip` in /usr/local/bin, and no bytecode of Python itself. Only debootstrap and a
mirror of Debian are needed. The mirror is taken from the machine's configuration of apt.
"""

import fcntl
import hashlib
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SUITE = "forky"
"""The first release of Debian that has this Python."""
PYTHON = "python3.14"
PACKAGES = (PYTHON, f"{PYTHON}-venv", "ca-certificates")
SCRIPT = Path("/usr/share/debootstrap/scripts/sid")
"""Older versions of debootstrap do not know the suite. Its steps are the same for all suites."""
MIRROR_TIMEOUT = 20.0
NAME = f"{SUITE}-{hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]}"
"""A change in this file makes another image."""
UNUSED = (
    "usr/share/doc",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/apt",
    "var/lib/apt/lists",
)


class BaseImageError(Exception):
    """The reason why this machine cannot make the image."""


def base_folder(cache: Path) -> Path:
    """Return the folder with the files of the image. The first call makes it, in about a minute.

    Raises BaseImageError if this machine or its mirror does not allow it.
    """
    made = cache / NAME
    with locked(cache):
        if not made.exists():
            unfinished = cache / "unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            make(unfinished, find_mirror())
            unfinished.rename(made)
    return made


@contextmanager
def locked(cache: Path) -> Iterator[None]:
    """Let one process at a time use a folder."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def find_mirror() -> str:
    """Return the first of apt's mirrors that has the suite. Raises BaseImageError."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    reasons = [listed.stderr.strip() or "apt has none"]
    for mirror in dict.fromkeys(listed.stdout.split()):
        url = f"{mirror}/dists/{SUITE}/InRelease"
        try:
            with urllib.request.urlopen(url, timeout=MIRROR_TIMEOUT):
                return mirror
        except (OSError, ValueError) as error:
            reasons.append(str(error))
    raise BaseImageError(f"no mirror of Debian's {SUITE}: {reasons[-1]}")


def make(folder: Path, mirror: str) -> None:
    """Install the packages in a folder that does not exist yet. Raises BaseImageError."""
    variant = ["--variant=minbase", f"--include={','.join(PACKAGES)}"]
    command = ["debootstrap", *variant, SUITE, str(folder), mirror, str(SCRIPT)]
    # Its mounts end with the namespace, even if debootstrap is killed.
    ended = subprocess.run(
        ["unshare", "--mount", *command], capture_output=True, text=True, check=False
    )
    assert "Couldn't find these debs" not in ended.stderr, ended.stderr
    if ended.returncode:
        raise BaseImageError(f"debootstrap: {(ended.stderr or ended.stdout)[-500:]}")
    venv = [f"/usr/bin/{PYTHON}", "-m", "venv", "/usr/local"]
    subprocess.run(["chroot", str(folder), "env", "-i", *venv], check=True)
    (folder / "etc/hosts").write_text("127.0.0.1 localhost\n", "utf-8")
    for unused in UNUSED:
        shutil.rmtree(folder / unused, ignore_errors=True)
    for bytecode in list(folder.glob("usr/**/__pycache__")):
        shutil.rmtree(bytecode)
