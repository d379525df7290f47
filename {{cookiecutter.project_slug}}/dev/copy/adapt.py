"""Fits the code of a pattern to the place where it lands: imports, names, and the first line.

The pages assume a package `shop` whose module `main` creates `app`.
"""

import re
import tomllib
from pathlib import PurePath

from dev.copy.host import Host
from dev.copy.pattern import ROOT, Pattern, Source, package_name

APPLICATION = re.compile(r"(?<![\w.\"])app(?![\w=/])")
IMPORTED_APPLICATION = re.compile(r"^(from shop\.main import .*)\bapp\b", re.MULTILINE)
RELATIVE_IMPORT = re.compile(r"^from \.(\w[\w.]*) import", re.MULTILINE)
ABSOLUTE_IMPORT = re.compile(r"^from shop\.(\w[\w.]*) import", re.MULTILINE)
FIRST_LINE = re.compile(r".*?From Candid \S+, (\S+)\. ")
COMMENTS = {
    ".css": ("/* ", " */"),
    ".html": ("<!-- ", " -->"),
    ".js": ("// ", ""),
    ".md": ("<!-- ", " -->"),
}


def adapt_file(source: Source, pattern: Pattern, host: Host) -> str:
    """Return the text of a file that is copied, with a first line that says where it comes from."""
    text = source.text
    if source.origin.startswith("docs/patterns/"):
        text = _adapt_test(text, host)
    elif source.origin.startswith("tests/"):
        text = text.replace(f"{package_name()}.", f"{host.name}." if host.name else "")
    elif not host.name and source.path.startswith("shop/"):
        # The top folder of a flat application is not a package, so no dots lead to it.
        dots = rf"^( *from )\.{{{source.path.count('/')}}}(?=\w)"
        text = re.sub(dots, r"\1", text, flags=re.MULTILINE)
    text = text.replace(f'"{_slug()}:', f'"{host.label}:')  # the prefix of keys
    before, after = COMMENTS.get(PurePath(source.path).suffix, ("# ", ""))
    line = f"From Candid {pattern.version}, {source.origin}. {pattern.license}."
    return f"{before}{line}{after}\n{text}"


def without_first_line(text: str) -> str:
    """Return the text of a copied file as it was before the copy."""
    return text.partition("\n")[2]


def origin_of(text: str) -> str:
    """Return where a copied file comes from, or an empty string."""
    line = FIRST_LINE.match(text)
    return line[1] if line else ""


def adapt_wiring(source: Source, host: Host) -> str:
    """Return the lines to add to a file, with the names of the host."""
    text = source.text
    if source.path.startswith("shop/"):
        text = APPLICATION.sub(host.variable, text)
        text = RELATIVE_IMPORT.sub(lambda found: _import_beside(found[1], host), text)
    return _adapt_names(text, host)


def _import_beside(module: str, host: Host) -> str:
    """Return the start of an import in the folder of the application's module."""
    dot = "." if host.name else ""
    if module == "main":
        stem = host.application.stem
        return f"from {dot}{'' if stem == '__init__' else stem} import"
    return f"from {dot if host.parent == host.name else f'{host.name}.'}{module} import"


def _adapt_test(text: str, host: Host) -> str:
    if host.variable != "app":
        text = IMPORTED_APPLICATION.sub(rf"\1{host.variable} as app", text)

    def module(found: re.Match[str]) -> str:
        if found[1] == "main":
            return f"from {host.module} import"
        return f"from {f'{host.name}.' if host.name else ''}{found[1]} import"

    return _adapt_names(ABSOLUTE_IMPORT.sub(module, text), host)


def _adapt_names(text: str, host: Host) -> str:
    text = text.replace('"-m", "shop"', f'"-m", "{host.runner}"')
    return re.sub(r"(?<![\w/])shop(?![\w/.])", host.label, text)


def _slug() -> str:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return str(document["project"]["name"])
