"""Generate a service with the default answers, and serve it on embedded servers.

Each run generates the service again in .build/demo/. Its Python environment is kept, so the second
run starts quickly. The variables SERVICE_PORT and SERVICE_MANAGEMENT_PORT choose its ports.
"""

import fcntl
import os
import shutil
import sys

from tools.generate import ROOT, environment, generate

FOLDER = ROOT / ".build" / "demo"


def main() -> None:
    """Generate the service, and replace this process with its `make dev`."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    lock = (FOLDER / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("A demo is already running. Stop it with Ctrl-C, then start another.")
    os.set_inheritable(lock.fileno(), True)  # held until the service and its servers have ended
    shutil.rmtree(FOLDER / "service", ignore_errors=True)
    service = generate(FOLDER / "service")
    print(f"Generated {os.path.relpath(service)}", flush=True)
    variables = environment() | {"UV_PROJECT_ENVIRONMENT": str(FOLDER / "environment")}
    os.execvpe("make", ["make", "--no-print-directory", "-C", str(service), "dev"], variables)


if __name__ == "__main__":
    main()
