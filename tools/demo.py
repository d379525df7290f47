"""Generate a service with the default answers, and serve it on embedded servers.

Each run generates the service again in .build/demo/. Its Python environment is kept, so the second
run starts quickly. The variables SERVICE_PORT and SERVICE_MANAGEMENT_PORT choose its ports.
"""

import fcntl
import os
import shutil
import sys
from textwrap import indent

from tools.generate import ROOT, environment, generate

FOLDER = ROOT / ".build" / "demo"


def break_commands(port: int) -> tuple[str, str, str]:
    """Return the commands that freeze PostgreSQL, let it continue, and look at `ready`.

    They run in the folder of the template, in one shell.
    """
    folder = (FOLDER / "service" / "truthful-service").relative_to(ROOT)
    find = f"pid=$(head -1 {folder}/.data/postgres/data/postmaster.pid)"
    return (
        f"{find}\nkill -STOP $pid $(pgrep -P $pid)",
        f"{find}\nkill -CONT $pid $(pgrep -P $pid)",
        f"curl -i localhost:{port}/health/ready    # 504 within 7 s; live stays 200",
    )


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
    freeze, resume, look = break_commands(int(os.environ.get("SERVICE_PORT") or 8000))
    print(
        f"Generated {os.path.relpath(service, ROOT)}. Break it from a second terminal, in {ROOT}:"
    )
    print(indent(f"\n{freeze}\n{look}\n{resume}\n", "  "), flush=True)
    variables = environment() | {"UV_PROJECT_ENVIRONMENT": str(FOLDER / "environment")}
    os.execvpe("make", ["make", "--no-print-directory", "-C", str(service), "dev"], variables)


if __name__ == "__main__":
    main()
