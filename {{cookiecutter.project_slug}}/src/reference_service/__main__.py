"""Run the service, or list its settings with `--help`."""

import argparse
import logging
import os
import sys
from collections.abc import Iterator

from . import IGNORED_VARIABLES
from .app import TITLE, create_service
from .environment import SettingsError, find_misspelled, sections, variables
from .server import exit_process, run
from .settings import CheckSettings, Settings, check_prefix, read_settings
from .telemetry import configure_logging

EXIT_BAD_SETTINGS = 2
STANDARD_PREFIX = "OTEL_"  # other libraries read more of these variables than the service lists


def main() -> int:
    """Return the exit status: 0 after a graceful shutdown, 2 if the settings cannot be used.

    If the application does not start, it is 3.
    """
    argparse.ArgumentParser(
        prog=f"python -m {__package__}",
        description=f"{TITLE}. Its settings are environment variables:",
        epilog=_table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    try:
        settings = read_settings()
        configure_logging(json_lines=settings.service.json_lines, level=settings.service.log_level)
        service = create_service(settings)
        checks = map(check_prefix, service.app.registry.monitors)
        known = {name for name, _, _ in _rows(*checks) if not name.startswith(STANDARD_PREFIX)}
        for sentence in (*IGNORED_VARIABLES, *find_misspelled(known, os.environ)):
            logging.getLogger(__package__).warning(sentence)
        run(service, settings.service)
    except SettingsError as error:
        for sentence in error.errors:
            print(sentence, file=sys.stderr)  # noqa: T201 - there may be no log yet
        return EXIT_BAD_SETTINGS
    except SystemExit as error:  # from uvicorn, because the lifespan failed
        return int(error.code or 0)
    return 0


def _rows(*check_prefixes: str) -> Iterator[tuple[str, str, str]]:
    """Yield the name, default and description of every variable."""
    for section in sections(Settings).values():
        yield from variables(section)
    for prefix in check_prefixes:
        yield from variables(CheckSettings, prefix)


def _table() -> str:
    rows = list(_rows("HEALTH_<CHECK>_"))
    width = max(len(name) for name, _, _ in rows)
    return "\n".join(
        f"  {name:<{width}}  {description}{f' [{default}]' if default else ''}"
        for name, default, description in rows
    )


if __name__ == "__main__":
    exit_process(main())
