"""Pin every package of each pyproject.toml to one exact version.

    make pins                       move every package to its newest version
    make pins ONLY="fastapi redis"  move only these and the packages that must move with them

The requirements of each file are resolved for every platform and every Python at once. The result
is written into its `constraint-dependencies` and `build-constraint-dependencies`. In the template
folder, each pin is tagged with the features that require its package. To find them, the script
resolves the requirements without features, with each feature alone, and with each pair that a tag
joins. It also writes the names of the pins into pre_gen_project.py, which rejects them as answers.
"""

import os
import re
import subprocess
import sys
import tempfile
import textwrap
import tomllib
from collections import defaultdict
from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hooks.post_gen_project import FEATURES, TIERS, keep_chosen

ROOT = Path(__file__).parents[1]
TOOLING = ROOT / "pyproject.toml"
SCANNER = ROOT / "tools" / "scanner" / "pyproject.toml"
TEMPLATE = ROOT / "{{cookiecutter.project_slug}}" / "pyproject.toml"
CHART_REQUIREMENTS = TEMPLATE.parent / ".github" / "requirements" / "chart.txt"
PRE_GEN = ROOT / "hooks" / "pre_gen_project.py"

Pins = dict[str, list[str]]  # from each package to its pins: one, or one per environment


def uv(*arguments: str, requirements: Iterable[str]) -> str:
    """Run `uv pip` with `requirements` as its standard input, and return its output."""
    ended = subprocess.run(
        [os.environ.get("UV", "uv"), "pip", *arguments],
        input="\n".join(requirements),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        cwd=tempfile.gettempdir(),  # no pyproject.toml is found there
    )
    if ended.returncode:
        sys.exit("No set of versions satisfies all requirements: see the error of uv above.")
    return ended.stdout


def parse(printed: str) -> Pins:
    """Parse `name==version ; marker` lines. Markers stay only if a package has several versions."""
    found = defaultdict(list)
    for line in printed.splitlines():
        requirement = Requirement(line)
        found[canonicalize_name(requirement.name)].append(requirement)
    return {
        name: [
            f"{name}{each.specifier}" + (f" ; {each.marker}" if len(versions) > 1 else "")
            for each in versions
        ]
        for name, versions in sorted(found.items())
    }


def resolve(requirements: Iterable[str], constraints: Iterable[str]) -> Pins:
    """Return the newest versions that satisfy `requirements` and `constraints`."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(constraints))
        file.flush()
        options = ("--universal", "--python-version=3.11", "--no-header", "--no-annotate", "-q")
        return parse(uv("compile", "-", "-c", file.name, *options, requirements=requirements))


def direct_requirements(pyproject: str) -> list[str]:
    """Return the direct requirements of a project and of its dependency groups."""
    data = tomllib.loads(pyproject)
    groups = data.get("dependency-groups", {}).values()
    return [*data["project"].get("dependencies", []), *(name for group in groups for name in group)]


def find_features(pyproject: str, pins: Pins) -> dict[str, list[str]]:
    """Map each package that only some features require to these features."""
    exact = [pin for versions in pins.values() for pin in versions]

    def with_features(*chosen: str) -> Pins:
        return resolve(
            direct_requirements(keep_chosen(pyproject, {*chosen, *TIERS}, TEMPLATE)), exact
        )

    always_required = with_features()
    features = [feature for feature in FEATURES if feature in pyproject]
    alone = {feature: with_features(feature) for feature in features}
    found = {
        name: [feature for feature, required in alone.items() if name in required]
        for name in pins
        if name not in always_required
    }
    if any(not requiring for requiring in found.values()):
        pairs = {pair: with_features(*pair.split("+")) for pair in sorted(_pairs(pyproject))}
        for name, requiring in found.items():
            if not requiring:
                requiring += [pair for pair, required in pairs.items() if name in required]
    if orphans := [name for name, requiring in found.items() if not requiring]:
        sys.exit(
            f"No feature, and no pair that a tag joins, requires {', '.join(orphans)}: "
            "correct the tags of their requirements."
        )
    return found


def _pairs(pyproject: str) -> set[str]:
    """Return the pairs of features that tags join: `# feature: redis+kafka`."""
    return set(re.findall(r"[a-z_]+\+[a-z_]+", "\n".join(re.findall("# feature: .*", pyproject))))


def format_pins(key: str, pins: Pins, tags: dict[str, list[str]]) -> str:
    """Format `pins` as the TOML array `key`: one pin per line, tagged with its features."""
    lines = [f"{key} = ["]
    for name, versions in pins.items():
        tag = f" # feature: {', '.join(tags[name])}" if name in tags else ""
        lines += [f"    {_quoted(pin)},{tag}" for pin in versions]
    return "\n".join([*lines, "]"])


def _quoted(pin: str) -> str:
    """Put a pin between double quotes. The quotes in its marker become single quotes."""
    return '"' + pin.replace('"', "'") + '"'


def replace(text: str, start: str, end: str, new: str) -> str:
    """Replace the block between the lines `start` and `end`, which are included, by `new`."""
    block = re.compile(rf"^{re.escape(start)}$.*?^{re.escape(end)}$", re.DOTALL | re.MULTILINE)
    changed, times = block.subn(lambda _: new, text)
    if times != 1:
        sys.exit(f"{start!r} must start exactly one block, but starts {times}.")
    return changed


def pin(file: Path, moving: set[str]) -> list[Pins]:
    """Write the pins of `file`. Move only the packages in `moving`, or all if it is empty."""
    text = file.read_text("utf-8")
    data = tomllib.loads(text)
    lists = {
        "constraint-dependencies": direct_requirements(text),
        "build-constraint-dependencies": data.get("build-system", {}).get("requires", []),
    }
    resolved = []
    for key, requirements in lists.items():
        if requirements:
            old = [each for each in data["tool"]["uv"][key] if Requirement(each).name not in moving]
            pins = resolve(requirements, old if moving else [])
            tags = find_features(text, pins) if key == "constraint-dependencies" else {}
            text = replace(text, f"{key} = [", "]", format_pins(key, pins, tags))
            resolved.append(pins)
    file.write_text(text, "utf-8")
    return resolved


def modules(pins: Pins) -> set[str]:
    """Install the pins for this platform and return their top-level modules."""
    with tempfile.TemporaryDirectory() as target:
        exact = [pin for versions in pins.values() for pin in versions]
        uv("install", "-q", "--no-deps", "--target", target, "-r", "-", requirements=exact)
        files = [file for each in distributions(path=[target]) for file in each.files or []]
    tops = {file.parts[0].split(".")[0] for file in files if file.suffix in {".py", ".so"}}
    return {top for top in tops if top.isidentifier()} | {name.replace("-", "_") for name in pins}


def write_reserved_names(resolved: list[Pins]) -> None:
    """Write the names of the pinned packages and modules into pre_gen_project.py."""
    text = PRE_GEN.read_text("utf-8")
    for name, words in {
        "DISTRIBUTIONS": {name for pins in resolved for name in pins},
        "MODULES": {name for pins in resolved for name in modules(pins)},
    }.items():
        block = textwrap.fill(" ".join(sorted(words)), 100, break_on_hyphens=False)
        text = replace(text, f'{name} = """', '"""', f'{name} = """\n{block}\n"""')
    PRE_GEN.write_text(text, "utf-8")


def write_chart_requirements(*resolved: list[Pins]) -> None:
    """Write the pinned versions into the requirements of the generated chart workflow."""
    text = CHART_REQUIREMENTS.read_text("utf-8")
    for pins in (each for several in resolved for each in several):
        for name, versions in pins.items():
            text = re.sub(rf"^{name}==.*$", versions[0], text, flags=re.MULTILINE)
    CHART_REQUIREMENTS.write_text(text, "utf-8")


if __name__ == "__main__":
    only = {str(canonicalize_name(name)) for name in sys.argv[1:]}
    write_chart_requirements(pin(TOOLING, only), pin(SCANNER, only))
    write_reserved_names(pin(TEMPLATE, only))
