"""Turn the copy of the reference service into the requested service: delete, then rename.

cookiecutter copies the template folder unchanged. This hook first deletes the declined features:
the files in FEATURES, and every line with a tag that names only declined features. Then it replaces
the placeholders with the answers. It adds nothing, and it touches nothing outside the new folder.

cookiecutter renders this file before it runs it. Two adjacent opening braces must therefore not
occur here, except around the answers at the end.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# The files and folders of each feature, as glob patterns in the template folder. A path that needs
# several features is listed under each of them. SHARED lists those that any of several features
# needs. Single lines are tagged in their files.
FEATURES: dict[str, list[str]] = {
    "postgres": [
        "deploy/chart/templates/connections.yaml",
        "deploy/chart/templates/migration.yaml",
        "deploy/compose/postgres.yaml",
        "deploy/**/postgres.json",
        "deploy/**/rules/postgres.yaml",
        "dev/drill/postgres.py",
        "dev/postgres.py",
        "dev/standby.py",
        "docs/decisions/*pool*.md",
        "docs/decisions/*postgres*.md",
        "docs/how-to/choose-the-impact-of-a-check.md",
        "docs/how-to/connect-through-a-pooler.md",
        "docs/patterns/*postgres*.md",
        "migrations",
        "src/reference_service/items/postgres.py",
        "src/reference_service/dependencies/postgres",
        "tests/**/test_*migration*.py",
        "tests/**/test_*postgres*.py",
        "tests/dependencies/postgres_*.py",
        "tests/dependencies/small_disk.py",
    ],
    "redis": [
        "deploy/compose/redis.yaml",
        "dev/drill/redis.py",
        "dev/valkey.py",
        "docs/patterns/*redis*.md",
        "docs/patterns/fail-fast.md",
        "src/reference_service/items/cache.py",
        "src/reference_service/dependencies/redis",
        "tests/**/test_*redis*.py",
    ],
    "sentinel": [
        "deploy/compose/sentinel.yaml",
        "dev/drill/sentinel.py",
        "dev/sentinel*.py",
        "src/reference_service/dependencies/sentinel",
        "tests/**/test_*sentinel*.py",
    ],
    "kafka": [
        "deploy/compose/kafka.yaml",
        "deploy/**/rules/kafka.yaml",
        "dev/drill/kafka.py",
        "dev/kafka*.py",
        "docs/decisions/*item-events*.md",
        "src/reference_service/items/events.py",
        "src/reference_service/dependencies/kafka",
        "tests/dependencies/kafka_proxy.py",
        "tests/**/test_*kafka*.py",
    ],
    "grpc": [
        "deploy/compose/grpc.yaml",
        "dev/drill/grpc.py",
        "dev/grpc*.py",
        "src/reference_service/items/stock.py",
        "src/reference_service/dependencies/grpc",
        "tests/**/test_*grpc*.py",
    ],
    "kubernetes": [
        ".github/requirements",
        ".github/workflows/chart.yml",
        "deploy/chart",
        "deploy/**/rules/kubernetes.yaml",
        "docs/decisions/*canary*.md",
        "docs/kubernetes.md",
        "tests/observability/test_edge_alerts.py",
        "tests/observability/test_kubernetes_alerts.py",
    ],
    "observability": [
        "deploy/alertmanager",
        "deploy/chart/dashboards",
        "deploy/chart/rules",
        "deploy/chart/templates/_traces.tpl",
        "deploy/chart/templates/alertmanagerconfig.yaml",
        "deploy/chart/templates/analysis.yaml",
        "deploy/chart/templates/dashboards.yaml",
        "deploy/chart/templates/rollout.yaml",
        "deploy/chart/templates/rules.yaml",
        "deploy/chart/templates/servicemonitor.yaml",
        "deploy/compose/grafana",
        "deploy/compose/observability.yaml",
        "deploy/compose/prometheus.yaml",
        "deploy/grafana",
        "deploy/openslo.yaml",
        "deploy/otel-collector.yaml",
        "deploy/prometheus",
        "docs/decisions/*canary*.md",
        "docs/decisions/*collect-metrics*.md",
        "docs/decisions/*trace*.md",
        "docs/how-to/add-a-metric.md",
        "docs/observability.md",
        "docs/patterns/*metrics*.md",
        "docs/patterns/*trace*.md",
        "docs/patterns/slo-*.md",
        "docs/runbook.md",
        "src/reference_service/telemetry/*metrics.py",
        "src/reference_service/telemetry/*trace*.py",
        "src/reference_service/telemetry/observability.py",
        "tests/observability",
    ],
    "docker": [
        ".dockerignore",
        ".github/workflows/image.yml",
        "Dockerfile",
        "compose.yaml",
        "deploy/compose",
        "docs/container.md",
        "src/reference_service/healthcheck.py",
        "tests/server/test_healthcheck.py",
    ],
    "github": [
        ".github",
    ],
    "drill": [
        "dev/drill",
        "tests/dev/test_drill*.py",
    ],
    "part_tests": [
        "dev/standby.py",
        "tests/dependencies",
        "tests/dev",
        "tests/health",
        "tests/management",
        "tests/test_standalone.py",
        "tests/observability",
        "tests/part_routes.py",
        "tests/streaming_routes.py",
        "tests/patterns",
        "tests/tools.py",
        "tests/resilience",
        "tests/server",
        "tests/service/test_postgres_replication.py",
        "tests/service/test_redis_faults.py",
        "tests/service/test_proxies.py",
        "tests/service/test_requests.py",
        "tests/telemetry",
        "tests/tools.py",
        "tests/traffic",
    ],
    "patterns": [
        "dev/copy",
        "docs/decisions/*access-lines*.md",
        "docs/decisions/*ambiguous*.md",
        "docs/decisions/*canary*.md",
        "docs/decisions/*collect-metrics*.md",
        "docs/decisions/*circuits*.md",
        "docs/decisions/*concurrency-limit*.md",
        "docs/decisions/*freeze-startup*.md",
        "docs/decisions/*two-connections*.md",
        "docs/decisions/*one-record*.md",
        "docs/decisions/*saturated-pool*.md",
        "docs/decisions/*traced-probes*.md",
        "docs/patterns",
        "patterns",
        "tests/patterns",
    ],
}
# Files that one of several features needs, in the words of a tag.
SHARED: dict[str, list[str]] = {
    "postgres, redis, kafka, grpc": [
        "docs/how-to/use-tls.md",
        "src/reference_service/dependencies/certificates.py",
        "src/reference_service/dependencies/tls.py",
    ],
    "docker, kubernetes": [".github/workflows/release.yml"],
    "postgres, redis": ["tests/dependencies/tcp_proxy.py"],
    "sentinel, kafka, grpc": ["src/reference_service/dependencies/tls_files.py"],
}
TIERS = ("core", "edge")
TAG = re.compile(r"[ \t]*(?:# feature: ([a-z_, +]+)|<!-- feature: ([a-z_, +]+) -->)$")

# JSON has no comments. There, `"$comment": "feature: …"` tags the object that contains it.
COMMENT = "$comment"

# Symbolic links to folders in the template folder. A project has copies: some tools drop links.
LINKS = {
    "deploy/chart/dashboards": "deploy/grafana",
    "deploy/chart/rules": "deploy/prometheus/rules",
}

# Files that building and running create in the template folder. A clone has none of them.
BUILD_ARTIFACTS = (".*_cache", ".data", ".env", ".uv", ".venv", "__pycache__", "dist", "uv.lock")

# The placeholders, each with its question. Names are valid in every file; sentences are escaped.
NAME_PLACEHOLDERS = {"reference_service": "package_name", "reference-service": "project_slug"}
ESCAPED_PLACEHOLDERS = {
    "Reference Service": "project_name",
    "A FastAPI service whose health checks tell the truth.": "description",
    "Reference Author": "author",
}
PLACEHOLDER = re.compile("|".join(map(re.escape, NAME_PLACEHOLDERS | ESCAPED_PLACEHOLDERS)))


class TemplateError(SystemExit):
    """The template is inconsistent. The hook exits with a sentence that names the place."""


def escape_quoted(text: str) -> str:
    """Escape `text` for the inside of a double-quoted string of JSON, TOML or YAML."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def escape_compose(text: str) -> str:
    """Escape `text` for a string of a Compose file, where `$` starts a variable."""
    return escape_quoted(text).replace("$", "$$")


def escape_python(text: str) -> str:
    r"""Escape `text` for Python. `\x22` keeps the formatter from changing the outer quotes."""
    return escape_quoted(text).replace(r"\"", r"\x22")


def escape_markdown(text: str) -> str:
    """Escape `text` so that Markdown shows it literally, also at the start of a line."""
    inline = re.sub(r"[\\`*_\[\]<>&~|$]", r"\\\g<0>", text)
    return re.sub(r"^(\d*)([-+#=.)])", r"\1\\\2", inline)


ESCAPES: dict[str, Callable[[str], str]] = {
    **dict.fromkeys((".json", ".toml", ".yaml", ".yml"), escape_quoted),
    ".md": escape_markdown,
    ".py": escape_python,
    "compose.yaml": escape_compose,
}


def all_files(root: Path) -> Iterator[Path]:
    """Yield every file below `root`."""
    return (path for path in sorted(root.rglob("*")) if path.is_file())


def remove(paths: list[Path]) -> None:
    """Delete files, folders and links. A path that does not exist is skipped."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def copy_links(root: Path) -> None:
    """Replace each link by a copy of its folder. A zip archive or Windows has a text file there."""
    for name, target in LINKS.items():
        if (root / name).exists():
            remove([root / name])
            shutil.copytree(root / target, root / name)


def declined_paths(root: Path, chosen: set[str]) -> list[Path]:
    """Return the paths of the declined features.

    Raises TemplateError if FEATURES or SHARED lists a path that does not exist.
    """
    declined = []
    for tag, patterns in (*FEATURES.items(), *SHARED.items()):
        for pattern in patterns:
            found = list(root.glob(pattern))
            if not found:
                raise TemplateError(f"FEATURES[{tag!r}] lists {pattern}, which does not exist.")
            if not is_chosen(tag, chosen, pattern):
                declined += found
    return declined


def is_chosen(tag: str, chosen: set[str], place: str) -> bool:
    """Return whether the features that a tag names were chosen.

    `redis, kafka` needs one of the two, `redis+kafka` needs both. Nobody can choose `template`: it
    marks lines that exist only in the template folder. `place` is named in the error.
    """
    named = [set(each.split("+")) for each in re.split(", *", tag)]
    if unknown := set().union(*named) - {"template", *TIERS, *FEATURES}:
        raise TemplateError(f"{place} is tagged with an unknown feature: {unknown}.")
    return any(features <= chosen for features in named)


def keep_chosen(text: str, chosen: set[str], path: Path) -> str:
    """Delete the lines of declined features, and the tags of the remaining lines."""
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
    """Delete the objects of declined features from a JSON document."""
    declined: dict[str, Any] = {}

    def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        kept = {name: value for name, value in pairs if value is not declined}
        if {"properties", "required"} <= kept.keys():  # a JSON schema
            kept["required"] = [name for name in kept["required"] if name in kept["properties"]]
        tag = re.fullmatch("feature: (.*)", str(kept.get(COMMENT)))
        if tag is None:
            return kept
        del kept[COMMENT]
        return kept if is_chosen(tag[1], chosen, str(path)) else declined

    document = json.loads(text, object_pairs_hook=keep)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def substitute(text: str, answers: dict[str, Any], path: Path) -> str:
    """Replace the placeholders with the answers in one pass: answers are not searched again."""

    def answer(placeholder: re.Match[str]) -> str:
        if question := NAME_PLACEHOLDERS.get(placeholder[0]):
            return str(answers[question])
        if escape := ESCAPES.get(path.name, ESCAPES.get(path.suffix)):
            return escape(answers[ESCAPED_PLACEHOLDERS[placeholder[0]]])
        raise TemplateError(f"{path} contains {placeholder[0]!r}, but ESCAPES lacks its file type.")

    return PLACEHOLDER.sub(answer, text)


def rename(root: Path, answers: dict[str, Any]) -> None:
    """Replace the placeholders in the names of files and folders, and delete empty folders."""
    for path in sorted(root.rglob("*"), reverse=True):  # a folder's content before the folder
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
            continue
        name = PLACEHOLDER.sub(lambda found: answers[NAME_PLACEHOLDERS[found[0]]], path.name)
        if name != path.name:
            path.rename(path.with_name(name))


def print_next_steps(folder: Path) -> None:
    """Print what to do next, unless cruft generates the service only to compare it."""
    if re.fullmatch(r"tmp\w{8}", folder.parent.name):  # the temporary folder of `cruft update`
        return
    print(f"Next:    cd {folder.name} && make dev")
    print("Test:    make test")
    print("Update:  cruft update (if cruft did not create the service: cruft link first)")


def main(answers: dict[str, Any], root: Path) -> None:
    """Turn the copy in `root` into the project that the answers describe."""
    chosen = {answers["slo_tier"], *(feature for feature in FEATURES if answers[feature])}
    remove([path for pattern in BUILD_ARTIFACTS for path in root.rglob(pattern)])
    copy_links(root)
    remove(declined_paths(root, chosen))
    for path in all_files(root):
        content = path.read_bytes()
        try:
            # A clone that ignores .gitattributes can have the line endings of Windows.
            text = content.decode().replace("\r\n", "\n")
        except UnicodeDecodeError:
            continue  # a binary file, for example a picture
        path.write_bytes(substitute(keep_chosen(text, chosen, path), answers, path).encode())
    rename(root, answers)


if __name__ == "__main__":
    main(json.loads(r"""{{ cookiecutter | tojson }}"""), Path())
    print_next_steps(Path.cwd())
