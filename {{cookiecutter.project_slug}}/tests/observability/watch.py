"""The whole chain: a service, Prometheus, Alertmanager and the webhook that receives its alerts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from ..processes import Service, wait_until
from .servers import alertmanager, prometheus, query
from .webhook import Webhook, listening

ALERT_TIMEOUT = 60.0
"""Maximum seconds from a fault to its alert at the webhook, on a busy machine."""


class Watch(NamedTuple):
    """The parts of the chain that tests use."""

    service: Service
    prometheus: httpx.Client
    webhook: Webhook


@contextmanager
def watching(folder: Path, service: Service) -> Iterator[Watch]:
    """Start the chain; yield once Prometheus has scraped the healthy service twice."""
    with (
        listening() as webhook,
        alertmanager(folder, webhook.url) as alerts,
        service,
        prometheus(folder, service, str(alerts.base_url)) as api,
    ):
        service.until_ready()
        wait_until(lambda: query(api, "count_over_time(http_unhandled_exceptions_total[1m]) > 1"))
        yield Watch(service, api, webhook)
