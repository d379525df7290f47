"""Turn the copy of the reference service into the service that was asked for: delete, then rename.

cookiecutter copies the template folder as it stands. What was declined is removed first: the files
in FEATURES, and every line that ends in a tag naming only declined features. Then the words that
stand for answers become the answers. Nothing is added, and nothing outside the folder is touched.

cookiecutter renders this file before it runs it, so no two opening braces may stand side by side
here except around the answers at the end.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Each feature's whole files and folders, globs allowed, as the template folder calls them. A path
# that needs several features stands under each of them. Single lines are tagged where they stand.
FEATURES: dict[str, list[str]] = {
    "postgres": [
        "deploy/chart/templates/migration.yaml",
        "deploy/compose/postgres.yaml",
        "deploy/grafana/postgres.json",
        "deploy/prometheus/rules/postgres.yaml",
        "dev/drill/postgres.py",
        "dev/postgres.py",
        "dev/standby.py",
        "docs/decisions/*pool*.md",
        "docs/decisions/*postgres*.md",
        "docs/patterns/*postgres*.md",
        "migrations",
        "src/reference_service/items/postgres.py",
        "src/reference_service/dependencies/postgres",
        "src/reference_service/wiring/postgres.py",
        "tests/**/test_*migration*.py",
        "tests/**/test_*postgres*.py",
    ],
    "redis": [
        "deploy/compose/redis.yaml",
        "dev/drill/redis.py",
        "dev/valkey.py",
        "docs/patterns/*redis*.md",
        "src/reference_service/items/cache.py",
        "src/reference_service/dependencies/redis",
        "src/reference_service/wiring/redis.py",
        "tests/**/test_*redis*.py",
    ],
    "sentinel": [
        "deploy/compose/sentinel.yaml",
        "dev/drill/sentinel.py",
        "dev/sentinel*.py",
        "src/reference_service/dependencies/sentinel",
        "src/reference_service/wiring/sentinel.py",
        "tests/**/test_*sentinel*.py",
    ],
    "kafka": [
        "deploy/compose/kafka.yaml",
        "deploy/prometheus/rules/kafka.yaml",
        "dev/drill/kafka.py",
        "dev/kafka*.py",
        "docs/decisions/*item-events*.md",
        "src/reference_service/items/events.py",
        "src/reference_service/dependencies/kafka",
        "src/reference_service/consume.py",
        "src/reference_service/wiring/kafka.py",
        "tests/**/test_*kafka*.py",
    ],
    "grpc": [
        "deploy/compose/grpc.yaml",
        "dev/drill/grpc.py",
        "dev/grpc*.py",
        "src/reference_service/dependencies/grpc",
        "src/reference_service/wiring/grpc.py",
        "tests/**/test_*grpc*.py",
    ],
    "kubernetes": [
        ".github/requirements",
        ".github/workflows/chart.yml",
        "deploy/chart",
        "docs/decisions/*canary*.md",
        "docs/kubernetes.md",
    ],
    "observability": [
        "deploy/alertmanager",
        "deploy/chart/dashboards",
        "deploy/chart/rules",
        "deploy/chart/templates/_traces.tpl",
        "deploy/chart/templates/analysis.yaml",
        "deploy/chart/templates/dashboards.yaml",
        "deploy/chart/templates/rollout.yaml",
        "deploy/chart/templates/rules.yaml",
        "deploy/chart/templates/servicemonitor.yaml",
        "deploy/compose/grafana",
        "deploy/compose/observability.yaml",
        "deploy/compose/prometheus.yaml",
        "deploy/grafana",
        "deploy/otel-collector.yaml",
        "deploy/prometheus",
        "docs/decisions/*canary*.md",
        "docs/decisions/*collect-metrics*.md",
        "docs/decisions/*trace*.md",
        "docs/observability.md",
        "docs/patterns/*metrics*.md",
        "docs/patterns/*trace*.md",
        "docs/patterns/slo-*.md",
        "docs/runbook.md",
        "src/reference_service/telemetry/*metrics.py",
        "src/reference_service/telemetry/*trace*.py",
        "src/reference_service/wiring/observability.py",
        "tests/observability",
    ],
    "docker": [
        ".dockerignore",
        ".github/workflows/image.yml",
        "Dockerfile",
        "compose.yaml",
        "deploy/compose",
        "docs/decisions/*image*.md",
    ],
    "github": [
        ".github",
    ],
}
TIERS = ("core", "edge")
TAG = re.compile(r"[ \t]*(?:# feature: ([a-z, +]+)|<!-- feature: ([a-z, +]+) -->)$")

# JSON has no comments to tag: there `"$comment": "feature: …"` tags the object that it stands in.
COMMENT = "$comment"

# Folders that are one and the same in two places: cookiecutter copies what a link points to.
LINKS = {
    "deploy/chart/dashboards": "../grafana",
    "deploy/chart/rules": "../prometheus/rules",
}

# What building and running in the template folder leaves there; a clone of it has none of these.
LEFTOVERS = (".*_cache", ".data", ".env", ".uv", ".venv", "__pycache__", "dist", "uv.lock")

# The words that stand for answers. Names are safe wherever they stand, sentences need escaping.
NAMES = {"reference_service": "package_name", "reference-service": "project_slug"}
SENTENCES = {
    "Reference Service": "project_name",
    "A FastAPI service whose health checks tell the truth.": "description",
    "Reference Author": "author",
}
WORD = re.compile("|".join(map(re.escape, NAMES | SENTENCES)))


class TemplateError(SystemExit):
    """The template contradicts itself; the hook ends with the sentence that says where."""


def quoted(text: str) -> str:
    """Escape `text` for the inside of a double-quoted string of JSON, TOML, YAML or Python."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def python(text: str) -> str:
    """Escape `text` for Python, where a formatter would change the quotes around an escaped one."""
    return quoted(text).replace(r"\"", r"\x22")


def markdown(text: str) -> str:
    """Escape `text` so that Markdown shows it as it is, also at the start of a line."""
    inline = re.sub(r"[\\`*_\[\]<>&~|$]", r"\\\g<0>", text)
    return re.sub(r"^(\d*)([-+#=.)])", r"\1\\\2", inline)


ESCAPES: dict[str, Callable[[str], str]] = {
    **dict.fromkeys((".json", ".toml", ".yaml", ".yml"), quoted),
    ".md": markdown,
    ".py": python,
}


def files(root: Path) -> Iterator[Path]:
    """Yield every file below `root`."""
    return (path for path in sorted(root.rglob("*")) if path.is_file())


def remove(paths: list[Path]) -> None:
    """Delete the files, folders and links that still exist."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def link(root: Path) -> None:
    """Make the copies of linked folders links again."""
    for name, target in LINKS.items():
        if (root / name).is_dir():
            remove([root / name])
            (root / name).symlink_to(target)


def declined_paths(root: Path, chosen: set[str]) -> list[Path]:
    """Find what the manifest says goes, holding it to name only what there is."""
    declined = []
    for feature, patterns in FEATURES.items():
        for pattern in patterns:
            found = list(root.glob(pattern))
            if not found:
                raise TemplateError(f"FEATURES[{feature!r}] lists {pattern}, which does not exist.")
            if feature not in chosen:
                declined += found
    return declined


def is_chosen(tag: str, chosen: set[str], place: str) -> bool:
    """Tell whether any of the features that a tag names were chosen.

    A tag names alternatives, `redis, kafka`; one that needs several features joins them with `+`.
    `template` is a feature that nobody can choose: it lives in the template folder alone.
    """
    named = [set(each.split("+")) for each in re.split(", *", tag)]
    if unknown := set().union(*named) - {"template", *TIERS, *FEATURES}:
        raise TemplateError(f"{place} is tagged with an unknown feature: {unknown}.")
    return any(features <= chosen for features in named)


def keep_chosen(text: str, chosen: set[str], path: Path) -> str:
    """Drop the lines whose tag names nothing that was chosen, and the tags of all others."""
    if path.suffix == ".json" and f'"{COMMENT}": "feature: ' in text:
        return keep_chosen_objects(text, chosen, path)
    kept = []
    for number, line in enumerate(text.split("\n"), 1):
        tag = TAG.search(line)
        if tag is None:
            kept.append(line)
            continue
        if is_chosen(tag[1] or tag[2], chosen, f"{path}:{number}"):
            kept.append(line[: tag.start()])
    return "\n".join(kept)


def keep_chosen_objects(text: str, chosen: set[str], path: Path) -> str:
    """Drop the objects of a JSON document that are tagged with nothing that was chosen."""
    declined: dict[str, Any] = {}

    def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        kept = {name: value for name, value in pairs if value is not declined}
        if {"properties", "required"} <= kept.keys():  # a schema requires nothing that is declined
            kept["required"] = [name for name in kept["required"] if name in kept["properties"]]
        tag = re.fullmatch("feature: (.*)", str(kept.get(COMMENT)))
        if tag is None:
            return kept
        del kept[COMMENT]
        return kept if is_chosen(tag[1], chosen, str(path)) else declined

    document = json.loads(text, object_pairs_hook=keep)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def fill_in(text: str, answers: dict[str, Any], path: Path) -> str:
    """Put the answers where their words stand, in one pass: no answer is searched for words."""

    def answer(word: re.Match[str]) -> str:
        if name := NAMES.get(word[0]):
            return str(answers[name])
        if escape := ESCAPES.get(path.suffix):
            return escape(answers[SENTENCES[word[0]]])
        raise TemplateError(f"{path} says {word[0]!r}, but nothing is known of escaping in it.")

    return WORD.sub(answer, text)


def main(answers: dict[str, Any], root: Path) -> None:
    """Make the copy in `root` the project that the answers describe."""
    chosen = {answers["slo_tier"], *(feature for feature in FEATURES if answers[feature])}
    remove([path for pattern in LEFTOVERS for path in root.rglob(pattern)])
    link(root)
    remove(declined_paths(root, chosen))
    for path in files(root):
        content = path.read_bytes()
        try:
            text = content.decode()
        except UnicodeDecodeError:
            continue  # a picture or the like
        path.write_bytes(fill_in(keep_chosen(text, chosen, path), answers, path).encode())
    for path in sorted(root.rglob("*"), reverse=True):  # a folder's content before the folder
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        elif (name := WORD.sub(lambda word: answers[NAMES[word[0]]], path.name)) != path.name:
            path.rename(path.with_name(name))


if __name__ == "__main__":
    main(json.loads(r"""{{ cookiecutter | tojson }}"""), Path())
