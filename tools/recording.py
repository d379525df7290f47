"""Record a terminal session as a picture: `make demo`, a frozen database, and what the probes say.

Everything in the picture was run: the commands are in `SESSION`, and their output is shown as it
was, without escape sequences. `make recording` writes `docs/demo.svg`.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from html import escape

from tools.demo import break_commands
from tools.generate import ROOT

PICTURE = ROOT / "docs" / "demo.svg"
LOG = ROOT / ".build" / "demo" / "recording.log"
LAST_LINE = "Details "  # of what `make dev` prints when the service is up
START_TIMEOUT = 600.0
STATUS_TIMEOUT = 60.0
FONT_SIZE, LINE_HEIGHT, CHARACTER_WIDTH, MARGIN = 14, 19, 8.43, 16
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
COLORS = {"$": "#e6edf3", "#": "#8b949e", "-": "#ff7b72", "+": "#7ee787", "": "#adbac7"}
PROBE = "curl -s -w ' %{http_code} in %{time_total} s\\n' localhost:8000/health/"


def session() -> list[tuple[str, str, int]]:
    """Return each remark, the command behind it, and the status of `ready` that it waits for."""
    freeze, resume = break_commands(8000)[:2]
    return [
        ("In a second terminal: the service is ready.", f"{PROBE}ready", 200),
        ("Freeze PostgreSQL. Open connections stay open, and nothing responds.", freeze, 504),
        ("", f"{PROBE}ready", 504),
        ("", f"{PROBE}live", 504),
        (
            "The management port names the cause.",
            "curl -s 'localhost:9000/health/ready?verbose'",
            504,
        ),
        ("Let it continue.", resume, 200),
        ("", f"{PROBE}ready", 200),
    ]


def main() -> None:
    """Start the demo, run the session, end the demo, and write the picture."""
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("wb") as output:
        demo = subprocess.Popen(
            [sys.executable, "-m", "tools.demo"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            process_group=0,
        )
    try:
        wait_for(200, START_TIMEOUT, demo)
        lines = ["$ make demo", "…", *banner(LOG.read_text("utf-8"))]
        for remark, command, status in session():
            lines += ["", f"# {remark}"] if remark else []
            lines += [f"$ {part}" for part in command.splitlines()]
            lines += run(command)
            wait_for(status, STATUS_TIMEOUT, demo)
    finally:
        os.killpg(demo.pid, signal.SIGINT)
        demo.wait()
    PICTURE.write_text(draw(lines), "utf-8")
    print(f"Wrote {os.path.relpath(PICTURE)}")


def banner(log: str) -> list[str]:
    """Return what `make dev` prints when the service is up."""
    text = ESCAPES.sub("", log)
    start = text.index("The service is up")
    return [line.rstrip() for line in text[start:].splitlines()[:5]]


def run(command: str) -> list[str]:
    """Run a command in a shell, and return the lines of its output."""
    ended = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return ended.stdout.splitlines()


def wait_for(status: int, timeout: float, demo: "subprocess.Popen[bytes]") -> None:
    """Wait until `ready` has a status. Exits if it does not, or if the demo ends."""
    deadline = time.monotonic() + timeout
    while ready() != status or LAST_LINE not in LOG.read_text("utf-8"):
        if demo.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"`ready` is not {status}: see {shlex.quote(str(LOG))}")
        time.sleep(0.1)


def ready() -> int:
    """Return the status of the probe `ready`, or 0 if nothing answers."""
    try:
        with urllib.request.urlopen("http://localhost:8000/health/ready", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


def draw(lines: list[str]) -> str:
    """Return a picture of a terminal with these lines."""
    width = round(2 * MARGIN + CHARACTER_WIDTH * max(map(len, lines)))
    height = 2 * MARGIN + LINE_HEIGHT * len(lines)
    texts = []
    for number, line in enumerate(lines):
        kind = line[1:2] if line.startswith("[") else line[:1]
        color = COLORS.get(kind, COLORS[""])
        visible = escape(line).replace(" ", "&#160;")  # pictures collapse spaces
        place = MARGIN + LINE_HEIGHT * number + FONT_SIZE
        texts.append(f'<text x="{MARGIN}" y="{place}" fill="{color}">{visible}</text>')
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"',
            f' font-family="ui-monospace, Menlo, Consolas, monospace" font-size="{FONT_SIZE}">',
            "<title>A recorded session: make demo, a frozen PostgreSQL, and its probes</title>",
            '<rect width="100%" height="100%" rx="8" fill="#0d1117"/>',
            *texts,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    main()
