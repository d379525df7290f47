"""Send malformed and hostile requests to a generated service, and answers to the generator.

    python -m fuzz [--minutes N | --batches N] [--seed TEXT] [--first N]

Prints one line every ten seconds, and writes `.build/fuzz/fuzz.json`. The exit status is 1 if
something was wrong. `--first 12 --batches 1` repeats the batch 12 of a seed.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tools.generate import ROOT

from .answers import try_answers
from .run import BATCH, Result, run_batch
from .target import Prober, Target

FOLDER = ROOT / ".build" / "fuzz"
MINUTES = 30.0
MAX_FINDINGS = 20
BATCHES_PER_ANSWERS = 4
"""Batches of connections for each set of answers: generating a service takes longer."""
REPORT_INTERVAL = 10.0


def main() -> int:
    """Fuzz until the time or the number is over, and return the exit status."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=MINUTES, help="default: 30")
    parser.add_argument("--batches", type=int, help=f"number of batches of {BATCH} connections")
    parser.add_argument("--seed", default="1", help="any text (default: 1)")
    parser.add_argument("--first", type=int, default=0, help="number of the first batch")
    options = parser.parse_args()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    result, tried, printed = Result(), 0, 0
    started = reported = time.monotonic()
    with Target(FOLDER / "service") as target, Prober(target) as prober:
        memory = [round(target.memory(), 1)]
        batch = options.first
        while len(result.findings) < MAX_FINDINGS and target.exit_status() is None:
            run_batch(target, f"{options.seed}/{batch}", BATCH, result)
            if batch % BATCHES_PER_ANSWERS == 0:
                tried += 1
                with tempfile.TemporaryDirectory(prefix="fuzz-", dir=FOLDER) as folder:
                    if wrong := try_answers(Path(folder), f"{options.seed}/{batch}"):
                        result.findings.append(wrong)
            for finding in result.findings[printed:]:
                print(finding, flush=True)
            printed = len(result.findings)
            batch += 1
            now = time.monotonic()
            minutes = (now - started) / 60
            if now - reported > REPORT_INTERVAL:
                reported = now
                memory.append(round(target.memory(), 1))
                connections, found = result.connections.total(), len(result.findings)
                print(
                    f"{minutes:5.1f} min  {connections:7,} connections  "
                    f"{result.requests:7,} requests  {tried:4} answers  {found} findings",
                    flush=True,
                )
            done = batch - options.first
            if done == options.batches or (not options.batches and minutes > options.minutes):
                break
        if target.exit_status() is not None:
            result.findings.append(f"the process ended with status {target.exit_status()}")
        memory.append(round(target.memory(), 1))
    result.findings += prober.wrong[:MAX_FINDINGS]
    if target.status:
        result.findings.append(f"the process ended with status {target.status} after SIGTERM")
    report = {
        "seed": options.seed,
        "minutes": round((time.monotonic() - started) / 60, 1),
        "batches": batch - options.first,
        "connections": dict(result.connections.most_common()),
        "requests": result.requests,
        "answers": {str(status): count for status, count in sorted(result.answers.items())},
        "resets": result.resets,
        "items": result.items,
        "answers_to_the_generator": tried,
        "probes": prober.count,
        "slowest_probe_seconds": round(prober.slowest, 3),
        "memory_mib": memory[:: max(len(memory) // 20, 1)],
        "findings": result.findings,
    }
    (FOLDER / "fuzz.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    print(json.dumps(report, indent=2))
    return 1 if result.findings else 0


if __name__ == "__main__":
    sys.exit(main())
