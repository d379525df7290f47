"""Play outages of the database with each impact, and print what clients got as Markdown.

    make outages [ARGS="--seconds 60 --only TEXT"]

All waiting times are those of a cluster, so it takes about 15 minutes.
"""

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .deployed_service import DeployedService, Results

FAIL: dict[str, str] = {}
WARN = {"HEALTH_POSTGRES_IMPACT": "warn"}  # also applies to the parts of that check
SHORT_TIMEOUTS = {
    "DATABASE_POOL_TIMEOUT": "0.5",
    "DATABASE_CONNECT_TIMEOUT": "0.5",
    "SERVICE_REQUEST_TIMEOUT": "1",
}


@dataclasses.dataclass(frozen=True)
class Variant:
    """An outage with some settings of the service. kind: a key of `rolling.outage.KINDS`."""

    kind: str
    impact: str
    settings: dict[str, str]

    def __str__(self) -> str:
        return f"{self.kind} | {self.impact}"

    def run(self, deployed: DeployedService, seconds: float, speedup: float = 1.0) -> Results:
        """Play it, and return the results of `rolling.outage`."""
        outage = {
            "kind": self.kind,
            "settings": self.settings,
            "seconds": seconds,
            "speedup": speedup,
        }
        return deployed.run("rolling.outage", json.dumps(outage))


VARIANTS = [
    Variant("frozen", "fail", FAIL),
    Variant("frozen", "warn", WARN),
    Variant("frozen", "warn, short timeouts", WARN | SHORT_TIMEOUTS),
    Variant("stopped", "fail", FAIL),
    Variant("stopped", "warn", WARN),
    Variant("cut off", "fail", FAIL),
    Variant("cut off", "fail, short timeouts", SHORT_TIMEOUTS),
    Variant("cut off", "warn", WARN),
    Variant("cut off", "warn, short timeouts", WARN | SHORT_TIMEOUTS),
]
HEAD = """\
| outage | impact | requests that need | sent | succeeded | answers | p50 | p99 | longest |
|---|---|---|---|---|---|---|---|---|"""


def rows(variant: Variant, results: Results) -> Iterator[str]:
    """Yield the rows of one variant: requests that were sent after the outage was detected."""
    for name, group in results["detected"].items():
        answers = ", ".join(f"{count} {outcome}" for outcome, count in group["outcomes"].items())
        seconds = " | ".join(f"{group[each]:.2f} s" for each in ("p50", "p99", "longest"))
        sent, succeeded = group["requests"], group["succeeded"]
        yield f"| {variant} | {name} | {sent} | {succeeded} | {answers} | {seconds} |"


def summary(variant: Variant, results: Results) -> str:
    """Return one line on endpoints, recovery and restarts."""
    changes = ", ".join(f"{number} after {at:g} s" for at, number in results["changes"])
    return (
        f"- {variant.kind}, {variant.impact}: endpoints {changes or 'unchanged'}; last failure "
        f"{results['recovered_after']:g} s after the end; {results['restarts']} restarts"
    )


def main() -> None:
    """Play all variants, or those with a text in their name."""
    parser = argparse.ArgumentParser(prog="make outages", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="how long outages last")
    parser.add_argument("--only", default="", metavar="TEXT", help="variants with TEXT in the name")
    options = parser.parse_args()
    table, notes = [HEAD], []
    with tempfile.TemporaryDirectory(prefix="outages-") as folder:
        deployed = DeployedService(Path(folder))
        for variant in VARIANTS:
            if options.only in str(variant):
                results = variant.run(deployed, options.seconds)
                table += rows(variant, results)
                notes.append(summary(variant, results))
    print("\n".join([*table, "", *notes]))  # noqa: T201 - the result of the command


if __name__ == "__main__":
    main()
