"""A service that is watched by Prometheus, and whoever Alertmanager tells of its faults."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from ..processes import Service, wait_until
from .servers import alertmanager, prometheus, query
from .webhook import Webhook, listening

WITHIN = 60.0
"""Seconds for a fault to reach somebody, on a busy machine."""


class Watch(NamedTuple):
    """Who stands where, from a fault to its hearer."""

    service: Service
    prometheus: httpx.Client
    told: Webhook


@contextmanager
def watching(folder: Path, service: Service) -> Iterator[Watch]:
    """Start the service, and watch it from when Prometheus has seen it healthy."""
    with (
        listening() as told,
        alertmanager(folder, told.url) as alerts,
        service,
        prometheus(folder, service, str(alerts.base_url)) as api,
    ):
        service.until_ready()
        wait_until(lambda: query(api, "count_over_time(http_unhandled_exceptions_total[1m]) > 1"))
        yield Watch(service, api, told)
