"""Runs the service: `python -m reference_service`. With `--help`, lists its settings."""

import argparse
import sys

from .app import TITLE, Settings, create_app
from .server import leave, run
from .settings import SettingsError, read, table
from .telemetry import configure_logging

BAD_SETTINGS = 2


def main() -> int:
    """Return the exit status: 0 after a drain, 2 for settings that cannot be used."""
    argparse.ArgumentParser(
        prog=f"python -m {__package__}",
        description=f"{TITLE}. Its settings are environment variables:",
        epilog=_settings_table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    try:
        settings = read(Settings)
        service = settings.service
        configure_logging(json_lines=service.json_lines, level=service.log_level)
        run(create_app(settings), service)
    except SettingsError as error:
        for fault in error.faults:
            print(fault, file=sys.stderr)  # noqa: T201 - there may be no log yet
        return BAD_SETTINGS
    return 0


def _settings_table() -> str:
    rows = list(table(Settings))
    width = max(len(name) for name, _, _ in rows)
    return "\n".join(
        f"  {name:<{width}}  {meaning}{f' [{default}]' if default else ''}"
        for name, default, meaning in rows
    )


if __name__ == "__main__":
    leave(main())
