"""Generate a service with the defaults, as anybody would, and serve it on embedded servers.

The service is made anew in .build/demo/ each time; its environment is kept, so the second time is
quick. The variables SERVICE_PORT and SERVICE_MANAGEMENT_PORT choose its ports.
"""

import fcntl
import os
import shutil
import sys
from pathlib import Path

from cookiecutter.main import cookiecutter

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".build" / "demo"

# Variables by which the template keeps its own products together: they are not the service's.
OURS = (
    "DEV_DATA",
    "MYPY_CACHE_DIR",
    "PYTEST_ADDOPTS",
    "PYTHONPYCACHEPREFIX",
    "RUFF_CACHE_DIR",
    "UV_PROJECT_ENVIRONMENT",
)


def main() -> None:
    """Become the `make dev` of a new service."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    lock = (FOLDER / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("A demo is running already. End it with Ctrl-C, then start another.")
    os.set_inheritable(lock.fileno(), True)  # held until the service and its servers have ended
    config = FOLDER / "cookiecutter.yaml"
    config.write_text(f"replay_dir: {FOLDER / 'replay'}\n", "utf-8")
    shutil.rmtree(FOLDER / "service", ignore_errors=True)
    service = cookiecutter(
        str(ROOT), no_input=True, output_dir=str(FOLDER / "service"), config_file=str(config)
    )
    print(f"Generated {os.path.relpath(service)}", flush=True)
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    environment["UV_PROJECT_ENVIRONMENT"] = str(FOLDER / "environment")
    os.execvpe("make", ["make", "--no-print-directory", "-C", service, "dev"], environment)


if __name__ == "__main__":
    main()
