"""The libraries that are compared, and how the application of each is started and asked."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.measured_process import MeasuredProcess

HOSTS = Path(__file__).parent / "hosts"
UVICORN = ("-m", "uvicorn", "--log-level", "warning", "--port")
GUNICORN = ("-m", "gunicorn", "--config", "python:comparison.gunicorn_config")


@dataclass(frozen=True)
class Library:
    """A library in an application.

    package: its name on the package index, or an empty string for this template.
    module: the file in `hosts`. base: the same application without health checks.
    probe: the path that a load balancer asks.
    """

    name: str
    package: str
    framework: str
    module: str
    base: str
    probe: str
    application: str = "app"
    folder: str = "comparison.hosts"

    @property
    def file(self) -> Path:
        """The lines that the library adds to an application."""
        return HOSTS / f"{self.module}.py"

    def process(self, folder: Path, variables: Mapping[str, str]) -> MeasuredProcess:
        """Return the application in one process of its usual server, for a `with` block."""
        target = f"{self.folder}.{self.module}:{self.application}"
        if self.framework == "Flask":
            return MeasuredProcess(folder, *GUNICORN, target, environment=variables)
        module, server, *options = UVICORN
        arguments = (module, server, target, *options)
        return MeasuredProcess(folder, *arguments, environment=variables, port_argument=True)

    @contextlib.contextmanager
    def serve(self, folder: Path, variables: Mapping[str, str]) -> Iterator[MeasuredProcess]:
        """Run the application in a `with` block, once it responds."""
        with self.process(folder, variables) as process:
            yield process.wait_until_ready("/hello")


LIBRARIES = (
    Library(
        "Candid's engine",
        "",
        "FastAPI",
        "with_candid",
        "fastapi_app",
        "/health/ready",
        folder="shop",
    ),
    Library(
        "fast-healthchecks",
        "fast-healthchecks",
        "FastAPI",
        "with_fast_healthchecks",
        "fastapi_app",
        "/health/readiness",
    ),
    Library(
        "fastapi-health",
        "fastapi-health",
        "FastAPI",
        "with_fastapi_health",
        "fastapi_app",
        "/health",
    ),
    Library("svcs", "svcs", "FastAPI", "with_svcs", "fastapi_app", "/healthy"),
    Library(
        "django-health-check",
        "django-health-check",
        "Django",
        "with_django_health_check",
        "django_app",
        "/health/?format=text",
        application="application",
    ),
    Library(
        "py-healthcheck",
        "py-healthcheck",
        "Flask",
        "with_py_healthcheck",
        "flask_app",
        "/healthcheck",
    ),
)
