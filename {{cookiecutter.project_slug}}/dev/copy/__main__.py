"""Copy a pattern into another project: `make copy PATTERN=recovery INTO=../shop/src/shop`.

Without a pattern, the patterns are listed. The exit status is 1 if a merge has conflicts, and 2 if
the pattern cannot be copied.
"""

import argparse
import difflib
import signal
import sys

from dev.copy.adapt import adapt_file, adapt_wiring
from dev.copy.git import require_clean
from dev.copy.host import Host, find_host
from dev.copy.merge import BASES, Change, Result, plan, vanished, write
from dev.copy.pattern import CopyError, Pattern, has_origin, read_pattern, summaries

USAGE = """
Copy one into a package:  make copy PATTERN=recovery INTO=../shop/src/shop
  DRY=1     only print what would be done
  TESTS=1   copy the tests of its files too, where patterns.toml lists them
  UPDATE=1  merge what has changed since the copy; what your project has changed stays
  DIRTY=1   copy although the project has changes that are not committed"""


def main(arguments: list[str]) -> int:
    """Copy or update a pattern, or list the patterns, and return the exit status."""
    parser = argparse.ArgumentParser(prog="make copy")
    for name in ("--pattern", "--into"):
        parser.add_argument(name, default="")
    for name in ("--tests", "--update", "--dry", "--dirty"):
        parser.add_argument(name, action="store_true")
    options = parser.parse_args(arguments)
    try:
        if options.pattern or options.into:
            return copy(options)
    except CopyError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename} cannot be read or written: {error.strerror}.", file=sys.stderr)
        return 2
    for name, summary in summaries().items():
        print(f"{name:18} {summary}")
    print(USAGE)
    return 0


def copy(options: argparse.Namespace) -> int:
    """Copy or update one pattern, and return the exit status."""
    pattern = read_pattern(options.pattern, tests=options.tests)
    host = find_host(options.into)
    if not (options.dry or options.dirty):
        require_clean(host.root)
    files = [(host.locate(each.path), adapt_file(each, pattern, host)) for each in pattern.files]
    changes = plan(files, host.root, update=options.update)
    if options.update and all(change.result is Result.NEW for change in changes):
        raise CopyError(f"{host.root} has no copy of {pattern.name}. Leave out UPDATE=1.")
    has_tests = (host.root / "tests").exists()
    if not options.dry:
        write(changes)
    if options.update:
        print_differences(changes, host)
    print(f"{'Would copy' if options.dry else 'Copied'} into {host.root}:")
    for change in changes:
        print(f"  {change.path.relative_to(host.root)}: {change.result}")
    if not has_tests:
        print("The folder tests/ is new.")
    print(f"Commit {BASES}/ too: it has what UPDATE=1 needs.")
    if options.update:
        for path in vanished(host.root, has_origin):
            print(f"{path.relative_to(host.root)} has no newer version. Delete it if it is unused.")
    else:
        print_wiring(pattern, host)
    return 1 if any(change.result is Result.CONFLICT for change in changes) else 0


def print_differences(changes: list[Change], host: Host) -> None:
    """Print what has changed in the pattern since the copy."""
    for change in changes:
        if change.old_base:
            name = str(change.path.relative_to(host.root))
            lines = difflib.unified_diff(
                change.old_base.splitlines(keepends=True),
                change.new_base.splitlines(keepends=True),
                f"{name} (as copied)",
                f"{name} (Candid)",
            )
            sys.stdout.writelines(lines)


def print_wiring(pattern: Pattern, host: Host) -> None:
    """Print the packages to install, the lines to add, and how to run the test."""
    print(f"\nRequired packages: {' '.join(pattern.packages) or 'none'}")
    if not host.is_found:
        print(
            f"No module in {host.package} creates the application. The lines below, and the test,"
            f" assume {host.variable} in {host.application.name}."
        )
    for block in pattern.wiring:
        path = host.locate(block.path).relative_to(host.root)
        print(f"\nAdd to {path}:\n\n{adapt_wiring(block, host)}", end="")
    print(f"\nRun the test in {host.root}:\n")
    for command in pattern.commands:
        print(f"  {command}")


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # for make copy | head
    sys.exit(main(sys.argv[1:]))
