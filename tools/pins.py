"""Pin every package of each pyproject.toml to one exact version.

    make pins                       move every package to its newest version
    make pins ONLY="fastapi redis"  move these, and what they must bring along, and nothing else

The requirements of each file are resolved for every platform and every Python at once, and what
comes out is written into its `constraint-dependencies` and `build-constraint-dependencies`. In the
template folder a pin is tagged with the features that bring its package in: resolving without any
feature, with each one alone, and with the pairs that tags join, tells which. The names of the pins
also go into pre_gen_project.py, which refuses them as names of a service.
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
CHECKS = TEMPLATE.parent / ".github" / "requirements" / "chart.txt"
PRE_GEN = ROOT / "hooks" / "pre_gen_project.py"

Pins = dict[str, list[str]]  # a package's name to its pins: one, or one for each environment


def uv(*arguments: str, requirements: Iterable[str]) -> str:
    """Run uv on `requirements`, which it reads from standard input, and return what it prints."""
    ended = subprocess.run(
        [os.environ.get("UV", "uv"), "pip", *arguments],
        input="\n".join(requirements),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        cwd=tempfile.gettempdir(),  # away from every pyproject.toml
    )
    if ended.returncode:
        sys.exit("No versions fit together, for the reason that uv gives above.")
    return ended.stdout


def parse(printed: str) -> Pins:
    """Read `name==version ; marker` lines; a marker stays only where it tells versions apart."""
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
    """Find the newest versions that satisfy `requirements` within `constraints`."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(constraints))
        file.flush()
        options = ("--universal", "--python-version=3.11", "--no-header", "--no-annotate", "-q")
        return parse(uv("compile", "-", "-c", file.name, *options, requirements=requirements))


def required(pyproject: str) -> list[str]:
    """List what a project and the people who work on it need directly."""
    data = tomllib.loads(pyproject)
    groups = data.get("dependency-groups", {}).values()
    return [*data["project"].get("dependencies", []), *(name for group in groups for name in group)]


def bringers(pyproject: str, pins: Pins) -> dict[str, list[str]]:
    """Tell for each pinned package which features bring it in; for those of every service, none."""
    exact = [pin for versions in pins.values() for pin in versions]

    def with_features(*chosen: str) -> Pins:
        return resolve(required(keep_chosen(pyproject, {*chosen, *TIERS}, TEMPLATE)), exact)

    always = with_features()
    features = [feature for feature in FEATURES if feature in pyproject]
    alone = {feature: with_features(feature) for feature in features}
    found = {
        name: [feature for feature, brought in alone.items() if name in brought]
        for name in pins
        if name not in always
    }
    if any(not bringing for bringing in found.values()):
        pairs = {pair: with_features(*pair.split("+")) for pair in sorted(_pairs(pyproject))}
        for name, bringing in found.items():
            if not bringing:
                bringing += [pair for pair, brought in pairs.items() if name in brought]
    if orphans := [name for name, bringing in found.items() if not bringing]:
        sys.exit(
            f"No feature alone, and no pair that a tag joins, brings in {', '.join(orphans)}: "
            "tag their requirements anew."
        )
    return found


def _pairs(pyproject: str) -> set[str]:
    """List the features that tags join: `# feature: redis+kafka`."""
    return set(re.findall(r"[a-z]+\+[a-z]+", "\n".join(re.findall("# feature: .*", pyproject))))


def written(key: str, pins: Pins, tags: dict[str, list[str]]) -> str:
    """Format `pins` as the TOML array called `key`, a pin a line, tagged with its features."""
    lines = [f"{key} = ["]
    for name, versions in pins.items():
        tag = f" # feature: {', '.join(tags[name])}" if name in tags else ""
        lines += [f"    {_quoted(pin)},{tag}" for pin in versions]
    return "\n".join([*lines, "]"])


def _quoted(pin: str) -> str:
    """Put a pin between double quotes: those of its marker become single ones."""
    return '"' + pin.replace('"', "'") + '"'


def replace(text: str, start: str, end: str, new: str) -> str:
    """Put `new` in place of the lines from the one that is `start` to the next that is `end`."""
    block = re.compile(rf"^{re.escape(start)}$.*?^{re.escape(end)}$", re.DOTALL | re.MULTILINE)
    changed, times = block.subn(lambda _: new, text)
    if times != 1:
        sys.exit(f"{start!r} must begin exactly one block, and begins {times}.")
    return changed


def pin(file: Path, moving: set[str]) -> list[Pins]:
    """Write the pins of `file`, moving only the packages named, or all when none is named."""
    text = file.read_text("utf-8")
    data = tomllib.loads(text)
    lists = {
        "constraint-dependencies": required(text),
        "build-constraint-dependencies": data.get("build-system", {}).get("requires", []),
    }
    resolved = []
    for key, requirements in lists.items():
        if requirements:
            old = [each for each in data["tool"]["uv"][key] if Requirement(each).name not in moving]
            pins = resolve(requirements, old if moving else [])
            tags = bringers(text, pins) if key == "constraint-dependencies" else {}
            text = replace(text, f"{key} = [", "]", written(key, pins, tags))
            resolved.append(pins)
    file.write_text(text, "utf-8")
    return resolved


def modules(pins: Pins) -> set[str]:
    """Install the pins for this platform, and list the top-level modules that they consist of."""
    with tempfile.TemporaryDirectory() as target:
        exact = [pin for versions in pins.values() for pin in versions]
        uv("install", "-q", "--no-deps", "--target", target, "-r", "-", requirements=exact)
        files = [file for each in distributions(path=[target]) for file in each.files or []]
    tops = {file.parts[0].split(".")[0] for file in files if file.suffix in {".py", ".so"}}
    return {top for top in tops if top.isidentifier()} | {name.replace("-", "_") for name in pins}


def reserve(resolved: list[Pins]) -> None:
    """Tell pre_gen_project.py which names are taken."""
    text = PRE_GEN.read_text("utf-8")
    for name, words in {
        "DISTRIBUTIONS": {name for pins in resolved for name in pins},
        "MODULES": {name for pins in resolved for name in modules(pins)},
    }.items():
        block = textwrap.fill(" ".join(sorted(words)), 100, break_on_hyphens=False)
        text = replace(text, f'{name} = """', '"""', f'{name} = """\n{block}\n"""')
    PRE_GEN.write_text(text, "utf-8")


def check_with(*resolved: list[Pins]) -> None:
    """Let the generated workflow check the chart with the versions that the tests here do."""
    text = CHECKS.read_text("utf-8")
    for pins in (each for several in resolved for each in several):
        for name, versions in pins.items():
            text = re.sub(rf"^{name}==.*$", versions[0], text, flags=re.MULTILINE)
    CHECKS.write_text(text, "utf-8")


if __name__ == "__main__":
    only = {str(canonicalize_name(name)) for name in sys.argv[1:]}
    check_with(pin(TOOLING, only), pin(SCANNER, only))
    reserve(pin(TEMPLATE, only))
