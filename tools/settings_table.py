"""Write docs/settings.md of the service from its settings classes: `make docs`.

A row is a variable. It has the tag of the part of the service that reads it, as app.py has that.
"""

import json
import re
import subprocess
from pathlib import Path

from tools.generate import ROOT, set_up
from tools.values_table import SERVICE

DOCUMENT = SERVICE / "docs" / "settings.md"
HEAD = """\
# Settings

The environment variables of the service, as `make settings` prints them. A bad value stops the
start with a line that says what is wrong and exit status 2; so does the lack of one that the
service cannot do without.

| variable | default | meaning |
|---|---|---|
"""
FOOT = """
`HEALTH_<CHECK>_…` are for one check: its name in capitals, dots and hyphens as underscores.
"""
# Runs in the service's environment: a list of variables for each of its settings classes.
LIST = """
import json
from reference_service.app import SETTINGS
from reference_service.environment import table
from reference_service.settings import CheckSettings
parts = [list(table(part)) for part in SETTINGS]
print(json.dumps([*parts, list(table(CheckSettings, "HEALTH_<CHECK>_"))]))
"""


def document() -> str:
    """Return the document, for a service whose environment is set up."""
    python = ROOT / ".build" / "venv" / "bin" / "python"
    listed = subprocess.run([python, "-c", LIST], check=True, stdout=subprocess.PIPE).stdout
    package = SERVICE / "src" / "reference_service"
    own, health, *parts, check = json.loads(listed)
    features = re.findall(r'^    "\w+",  # feature: (\w+)$', read(package / "app.py"), re.MULTILINE)
    objectives = re.findall(
        r"^SLO_P99 = (\S+)  # feature: (\w+)$", read(package / "settings.py"), re.MULTILINE
    )
    rows: list[str] = []
    for name, default, meaning in own:
        if name == "SERVICE_SLOW_REQUEST_SECONDS":
            rows += (row(name, each, meaning, feature=tier) for each, tier in objectives)
        else:
            rows.append(row(name, default, meaning))
    rows += (row(*each) for each in health)
    for feature, part in zip(features, parts, strict=True):
        rows += (row(*each, feature=feature) for each in part)
    rows += (row(*each) for each in check)
    return HEAD + "".join(rows) + FOOT


def row(name: str, default: str, meaning: str, *, feature: str | None = None) -> str:
    """Return the row of one variable."""
    # Which of those without a default is required, depends on what else was chosen.
    shown = f" `{default}`" if default not in {"", "required"} else ""
    tag = f" <!-- feature: {feature} -->" if feature else ""
    return f"| `{name}` |{shown} | {meaning} |{tag}\n"


def read(path: Path) -> str:
    """Return a file's text."""
    return path.read_text("utf-8")


def main() -> None:
    """Bring the document of the template folder up to date."""
    set_up(SERVICE)
    DOCUMENT.write_text(document(), "utf-8")


if __name__ == "__main__":
    main()
