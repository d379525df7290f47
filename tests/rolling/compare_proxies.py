"""Roll a service behind real proxies, and print the requests that clients lose as Markdown.

make proxies [ARGS="--rolls 100 --rate 100"]
"""

import argparse
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .deployed_service import DeployedService, Results
from .proxies import KINDS
from .proxy_clients import STREAM_BYTES, STREAM_PARTS, STREAM_PATH, STREAM_SECONDS

STREAM = f'''"""A response that takes a moment."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

stream_router = APIRouter()


async def _parts() -> AsyncIterator[bytes]:
    for _ in range({STREAM_PARTS}):
        yield b"." * {STREAM_BYTES // STREAM_PARTS}
        await asyncio.sleep({STREAM_SECONDS / STREAM_PARTS})


@stream_router.get("{STREAM_PATH}")
async def stream() -> StreamingResponse:
    """Send some lines, one after the other."""
    return StreamingResponse(_parts())
'''
"""A file of the service that rolls, as the page "Stream to clients" describes."""
INCLUDE = "    app.include_router(items_router(items))\n"
START_TIMEOUT, SECONDS_PER_ROLL = 300.0, 60.0
"""Bounds on a very busy machine."""
FAULTS_TIMEOUT = 1800.0
FAULTS_HEAD = """\
| fault | Envoy has | requests | lost | p50 | longest | last loss after the end |
|---|---|---|---|---|---|---|"""
HEAD = """\
| proxy | retries | drain | requests | lost | of which |
|---|---|---|---|---|---|"""


class StreamingService(DeployedService):
    """A deployed service with a route that streams."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (app,) = (self.service / "src").glob("*/app.py")
        (app.parent / "stream.py").write_text(STREAM, "utf-8")
        text = app.read_text("utf-8")
        assert INCLUDE in text
        text = text.replace(INCLUDE, f"{INCLUDE}    app.include_router(stream_router)\n")
        text = re.sub(
            r"^from \.settings",
            r"from .stream import stream_router\n\g<0>",
            text,
            flags=re.MULTILINE,
        )
        app.write_text(text, "utf-8")

    def roll(
        self, programs: Mapping[str, str], retries: Sequence[bool], **options: float
    ) -> Results:
        """Roll it. options: the other fields of `rolling.proxied.Rolls`."""
        rolls = {"programs": programs, "retries": retries, **options}
        timeout = START_TIMEOUT + SECONDS_PER_ROLL * options["rolls"]
        return self.run("rolling.proxied", json.dumps(rolls), timeout=timeout)

    def break_behind(self, envoy: str, seconds: float, rate: float) -> Results:
        """Play the faults of `rolling.proxied_faults`."""
        faults = {"program": envoy, "seconds": seconds, "rate": rate}
        return self.run("rolling.proxied_faults", json.dumps(faults), timeout=FAULTS_TIMEOUT)


def installed_programs() -> dict[str, str]:
    """Return the paths of the proxies' programs, without those that are not installed."""
    return {name: kind.program for name, kind in KINDS.items() if kind.program}


def rows(results: Results, *, drain: bool) -> Iterator[str]:
    """Yield one row for each proxy."""
    for each in results["proxies"]:
        lost = [
            f"{count} {kind}: {outcome}"
            for kind, outcomes in each["lost"].items()
            for outcome, count in outcomes.items()
        ]
        total = sum(sum(outcomes.values()) for outcomes in each["lost"].values())
        retries = "as on the page" if each["retries"] else "its defaults"
        yield (
            f"| {each['proxy']} | {retries} | {'yes' if drain else 'no'} | {each['requests']} | "
            f"{total} | {', '.join(lost) or '-'} |"
        )


def fault_rows(results: Results) -> Iterator[str]:
    """Yield one row for each fault and each way of noticing it."""
    for fault, variants in results.items():
        for name, each in variants.items():
            lost = ", ".join(f"{count} {outcome}" for outcome, count in each["outcomes"].items())
            yield (
                f"| {fault} | {name} | {each['requests']} | {lost or '-'} | {each['p50']:.2f} s | "
                f"{each['longest']:.2f} s | {each['recovered_after']:g} s |"
            )


def summary(results: Results, *, drain: bool) -> str:
    """Return one line on the pods and the stored items."""
    missing, twice = (
        sum(len(each[name]) for each in results["proxies"]) for name in ("missing", "duplicates")
    )
    return (
        f"- {'with' if drain else 'without'} the drain: {results['rolls']} rolls, of which "
        f"{results['counted']} count, {results['replaced']} pods replaced in "
        f"{results['seconds']} s, exit statuses {sorted(set(results['exit_statuses']))}, "
        f"{results['kills']} kills, {missing} confirmed items missing, {twice} stored twice; "
        f"slowest request of the control: {results['control']['longest']:.1f} s"
    )


def main() -> None:
    """Roll behind all installed proxies, with and without the drain."""
    parser = argparse.ArgumentParser(prog="make proxies", description=__doc__.partition("\n")[0])
    parser.add_argument("--rolls", type=int, default=100, help="how often all pods are replaced")
    parser.add_argument("--rate", type=float, default=100, help="requests per second, in total")
    parser.add_argument(
        "--time-limit", type=float, default=3600, help="seconds after which no further roll begins"
    )
    parser.add_argument("--drain", choices=("yes", "no", "both"), default="both")
    parser.add_argument("--faults", action="store_true", help="break what the service needs")
    parser.add_argument("--seconds", type=float, default=30, help="duration of each fault")
    options = parser.parse_args()
    programs = installed_programs()
    for name, program in programs.items():
        version = "--version" if name == "Envoy" else "-v"
        ran = subprocess.run(
            [program, version], capture_output=True, text=True, check=True, timeout=60
        )
        print((ran.stdout + ran.stderr).strip().partition("\n")[0])  # noqa: T201 - the command prints
    with tempfile.TemporaryDirectory(prefix="proxies-") as folder:
        deployed = StreamingService(Path(folder))
        if options.faults:
            results = deployed.break_behind(programs["Envoy"], options.seconds, options.rate / 4)
            print("\n".join([FAULTS_HEAD, *fault_rows(results)]))  # noqa: T201 - the command prints
            return
        table, notes = [HEAD], []
        for drain in (True, False):
            if options.drain in ("both", "yes" if drain else "no"):
                results = deployed.roll(
                    programs,
                    (False, True),
                    rolls=options.rolls,
                    rate=options.rate / (2 * len(programs)),
                    drain=drain,
                    time_limit=options.time_limit,
                )
                table += rows(results, drain=drain)
                notes.append(summary(results, drain=drain))
    print("\n".join([*table, "", *notes]))  # noqa: T201 - the result of the command


if __name__ == "__main__":
    main()
