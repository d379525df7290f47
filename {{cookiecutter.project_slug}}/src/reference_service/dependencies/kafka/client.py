"""The client of Kafka: it publishes in the background, and checks the topics."""

import logging
from collections.abc import Iterable

from ...health import Check
from ...telemetry import Metric
from .. import Dependency, FailureCallback
from ..certificates import Expiries, Tls, watch
from .brokers import Brokers
from .checks import topics_check
from .publisher import Publisher
from .security import connection_options, create_tls_context
from .settings import KafkaSettings, split_list


class Kafka(Dependency):
    """The brokers of one cluster. No request waits for them.

    Raises SettingsError if the settings of TLS or of the log-in cannot be used.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        # While brokers are unavailable aiokafka repeats the same error. The publisher logs it once.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        servers = split_list(settings.bootstrap_servers)
        options = connection_options(settings)
        context = create_tls_context(settings)
        self._tls = Tls(context, settings.ssl_cert_file) if context else None
        self.settings = settings
        self.topics = split_list(settings.topics)
        self._brokers = Brokers(servers, **options)
        self._publisher = Publisher(self.topics[0], bootstrap_servers=servers, **options)

    def publish(self, key: bytes, value: bytes) -> None:
        """Queue a message for the first topic. This neither waits nor raises."""
        self._publisher.publish(key, value)

    def checks(self) -> Iterable[Check]:
        check = topics_check(self._brokers.fetch_metadata, self.topics)
        yield watch(check, self._inspect) if self._tls else check

    def metrics(self) -> Iterable[Metric]:
        description = "Item events that were never sent."
        yield Metric("item_events_dropped_total", description, lambda: self._publisher.dropped)

    def on_failure(self, callback: FailureCallback) -> None:
        """Call `callback` when the brokers do not accept a message in time."""
        self._publisher.on_failure = lambda: callback("kafka")

    async def _inspect(self, failed: bool) -> Expiries:
        """Make a handshake with each broker: aiokafka has no public way to a certificate."""
        return await self._tls.inspect(self._brokers.addresses, failed=failed) if self._tls else {}

    async def close(self) -> None:
        """Send the queued messages if there is time, then close every connection."""
        self._brokers.close()
        await self._publisher.close()
