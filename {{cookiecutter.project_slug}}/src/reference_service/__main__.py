"""Runs the service, or with `--help` lists its settings."""

import argparse
import logging
import os
import sys
from collections.abc import Iterator

from .app import SETTINGS, TITLE, create_service
from .environment import SettingsError, find_misspelled, read, table
from .server.serve import exit_process, run
from .settings import CheckSettings, ServiceSettings, check_prefix
from .telemetry import configure_logging

BAD_SETTINGS = 2
SHARED = "OTEL_"
"""What variables begin with that are a standard's: others read further ones of that name."""


def main() -> int:
    """Return the exit status: 0 after a drain, 2 for settings that cannot be used."""
    argparse.ArgumentParser(
        prog=f"python -m {__package__}",
        description=f"{TITLE}. Its settings are environment variables:",
        epilog=_table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    try:
        settings = read(SETTINGS)
        serving = settings[ServiceSettings]
        configure_logging(json_lines=serving.json_lines, level=serving.log_level)
        service = create_service(settings)
        known = {name for name, _, _ in _rows(*map(check_prefix, service.app.registry.monitors))}
        ours = {name for name in known if not name.startswith(SHARED)}
        for sentence in find_misspelled(ours, os.environ):
            logging.getLogger(__package__).warning(sentence)
        run(service.app, service.management, serving, service.tally)
    except SettingsError as error:
        for fault in error.faults:
            print(fault, file=sys.stderr)  # noqa: T201 - there may be no log yet
        return BAD_SETTINGS
    return 0


def _rows(*check_prefixes: str) -> Iterator[tuple[str, str, str]]:
    for part in SETTINGS:
        yield from table(part)
    for prefix in check_prefixes:
        yield from table(CheckSettings, prefix)


def _table() -> str:
    rows = list(_rows("HEALTH_<CHECK>_"))
    width = max(len(name) for name, _, _ in rows)
    return "\n".join(
        f"  {name:<{width}}  {meaning}{f' [{default}]' if default else ''}"
        for name, default, meaning in rows
    )


if __name__ == "__main__":
    exit_process(main())
