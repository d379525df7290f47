"""A Celery application whose broker is a folder, and the jobs of the tests."""

import os
import time
from pathlib import Path

from celery import Celery  # type: ignore[import-untyped]

FOLDER = Path(os.environ.get("WORKER_FOLDER", "."))


def create_app(folder: Path) -> Celery:
    """Return an application that uses a folder as its broker, and another one for results."""
    for name in ("queue", "results", "control"):
        (folder / name).mkdir(exist_ok=True)
    app = Celery(broker="filesystem://", backend=f"file://{folder / 'results'}")
    app.conf.update(
        broker_transport_options={
            "data_folder_in": folder / "queue",
            "data_folder_out": folder / "queue",
            "control_folder": folder / "control",
            "polling_interval": 0.05,
        },
        broker_connection_retry_on_startup=True,
        worker_prefetch_multiplier=1,
    )
    return app


if "WORKER_FOLDER" in os.environ:
    app = create_app(FOLDER)

    @app.task(name="work")  # type: ignore[untyped-decorator]
    def work(seconds: float) -> float:
        """Do the job of a request."""
        time.sleep(seconds)
        return seconds

    if "WITHOUT_HEARTBEAT" not in os.environ:

        @app.task(name="heartbeat")  # type: ignore[untyped-decorator]
        def heartbeat() -> None:
            """Do nothing: that it was done is enough."""
