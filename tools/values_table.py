"""Write the table of the chart's values into docs/kubernetes.md: `make docs`.

Each value of the first level has one row. Its meaning is the description in values.schema.json, and
its fields are those of values.yaml with their defaults. A row has the tag of its feature.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from hooks.post_gen_project import COMMENT
from tools.generate import ROOT

SERVICE = ROOT / "{{cookiecutter.project_slug}}"
PAGE = Path("docs/kubernetes.md")
HEADER = ["| value | meaning | fields, with defaults |", "|---|---|---|"]


def table(service: Path) -> list[str]:
    """Return the lines of the table for the chart of this service, or of the template folder."""
    chart = service / "deploy" / "chart"
    values = yaml.safe_load((chart / "values.yaml").read_text("utf-8"))
    schema = json.loads((chart / "values.schema.json").read_text("utf-8"))["properties"]
    return HEADER + [row(name, value, schema[name]) for name, value in values.items()]


def row(name: str, value: object, schema: dict[str, Any]) -> str:
    """Return the row of one value."""
    if value and isinstance(value, dict) and schema.get("additionalProperties") is False:
        fields = ", ".join(f"`{with_default(key, each)}`" for key, each in value.items())
        line = f"| `{name}` | {schema['description']} | {fields} |"
    else:
        line = f"| `{with_default(name, value)}` | {schema['description']} | |"
    tag = schema.get(COMMENT)
    return f"{line} <!-- {tag} -->" if tag else line


def with_default(name: str, value: object) -> str:
    """Return a name with its default, if the default is one word."""
    simple = isinstance(value, str | int | float) and value != ""
    return f"{name}: {json.dumps(value).strip(chr(34))}" if simple else name


def replace_table(page: str, lines: list[str]) -> str:
    """Return the page with its table of values replaced by these lines."""
    old = page.splitlines()
    start = next(n for n, line in enumerate(old) if line == HEADER[0])
    end = next(n for n in range(start, len(old)) if not old[n].startswith("|"))
    return "\n".join([*old[:start], *lines, *old[end:], ""])


def main() -> None:
    """Update the page in the template folder."""
    page = SERVICE / PAGE
    page.write_text(replace_table(page.read_text("utf-8"), table(SERVICE)), "utf-8")


if __name__ == "__main__":
    main()
