"""Write docs/settings.md of the service from its settings classes: `make docs`.

Each row is one variable. It has the feature tag of its section in settings.py.
"""

import json
import re
import subprocess

from tools.generate import ROOT, set_up
from tools.values_table import SERVICE

DOCUMENT = SERVICE / "docs" / "settings.md"
SOURCE = SERVICE / "src" / "reference_service" / "settings.py"
HEAD = """\
# Settings

The environment variables of the service, as `make settings` prints them. If a value is invalid or a
required one is missing, the service does not start. It prints one line per error and exits with
status 2. An empty variable is unset.

A secret, such as a URL with a password, can be in a file instead: `NAME_FILE` is the path of a file
with the value of `NAME` ([secrets](secrets.md#secrets-in-files)).

| variable | default | meaning |
|---|---|---|
"""
FOOT = """
`HEALTH_<CHECK>_…` apply to one check: `<CHECK>` is its name in capitals, with `_` for `.` and `-`.
If a service can do its work without a dependency, `HEALTH_<CHECK>_IMPACT=warn` keeps it ready.

[Secrets](secrets.md) says how to write a password in a URL, and where secrets are hidden.
"""
REQUIRED_WITHOUT_SENTINEL = "REDIS_URL"
"""Its default is tagged, and the row of REDIS_SENTINELS says that it can be omitted."""
# Runs in the environment of the service: prints the variables of each section, and of one check.
LIST = """
import json
from reference_service.environment import sections, variables
from reference_service.settings import CheckSettings, Settings
listed = {name: list(variables(section)) for name, section in sections(Settings).items()}
print(json.dumps({**listed, "check": list(variables(CheckSettings, "HEALTH_<CHECK>_"))}))
"""


def document() -> str:
    """Return the document, for a service whose environment is set up."""
    python = ROOT / ".build" / "venv" / "bin" / "python"
    listed = subprocess.run([python, "-c", LIST], check=True, stdout=subprocess.PIPE).stdout
    source = SOURCE.read_text("utf-8")
    features = dict(re.findall(r"^    (\w+): \w+  # feature: (\w+)$", source, re.MULTILINE))
    objectives = re.findall(r"^    ([\d.]+),  # feature: (core|edge)$", source, re.MULTILINE)
    rows: list[str] = []
    for section, variables in json.loads(listed).items():
        for name, default, meaning in variables:
            if name == "SERVICE_SLOW_REQUEST_SECONDS":
                rows += (row(name, each, meaning, tier) for each, tier in objectives)
            else:
                rows.append(row(name, default, meaning, features.get(section)))
    return HEAD + "".join(rows) + FOOT


def row(name: str, default: str, meaning: str, feature: str | None) -> str:
    """Return the row of one variable."""
    match default:
        case "" if name == REQUIRED_WITHOUT_SENTINEL:
            shown = " required"
        case "":
            shown = ""
        case "required":
            shown = " required"
        case _:
            shown = f" `{default}`"
    tag = f" <!-- feature: {feature} -->" if feature else ""
    return f"| `{name}` |{shown} | {meaning} |{tag}\n"


def main() -> None:
    """Update the document of the template folder."""
    set_up(SERVICE)
    DOCUMENT.write_text(document(), "utf-8")


if __name__ == "__main__":
    main()
