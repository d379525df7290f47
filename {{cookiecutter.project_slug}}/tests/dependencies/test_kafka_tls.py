"""Kafka over TLS and with a log-in: the publisher and the check agree, and the check says why."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import dev.kafka

from reference_service.dependencies.kafka import Kafka, KafkaSettings
from reference_service.environment import SettingsError
from reference_service.health import Check, Status

from ..conftest import StartService
from .kafka_proxy import KafkaProxy
from .tls import (
    FAULTS,
    Authority,
    ClientFiles,
    Fault,
    server_context,
    until_error,
    until_result,
)

DELIVERY_TIMEOUT = 20.0
PASSWORD = "planted=secret,42"
WITHOUT_EFFECT = "it has no effect unless KAFKA_SECURITY_PROTOCOL is"
NO_KEY = "has no PEM key, without a password, of the certificate in"
LOG_IN = {"sasl_username": "service", "sasl_password": PASSWORD}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dev.kafka.Kafka]:
    with dev.kafka.Kafka(tmp_path_factory.mktemp("kafka")) as kafka:
        yield kafka


@contextlib.contextmanager
def proxies(
    brokers: dev.kafka.Kafka,
    context: ssl.SSLContext | None = None,
    mechanism: str = "",
    running: list[KafkaProxy] | None = None,
) -> Iterator[str]:
    """Put a proxy before each broker, and return their addresses. running: gets the proxies."""
    running = [] if running is None else running
    with ExitStack() as stack:
        addresses = []
        for number, broker in enumerate(dev.kafka.BROKERS):
            proxy = KafkaProxy(brokers.port + number, context, mechanism, PASSWORD)
            running.append(proxy)
            stack.enter_context(proxy.serve())
            brokers.advertise(broker, proxy.port, "localhost")
            addresses.append(f"localhost:{proxy.port}")
        yield ",".join(addresses)


@contextlib.asynccontextmanager
async def connect(servers: str, **settings: object) -> AsyncIterator[Kafka]:
    client = Kafka(KafkaSettings(bootstrap_servers=servers, **settings))  # type: ignore[arg-type]
    try:
        yield client
    finally:
        await client.close()


def only_check(client: Kafka) -> Check:
    [only] = client.checks()
    return only


async def publish(client: Kafka) -> None:
    """Publish a message and wait until the broker has acknowledged it."""
    client.publish(b"key", b"value")
    async with asyncio.timeout(DELIVERY_TIMEOUT):
        await client._publisher._queue.join()


async def test_publisher_and_check_use_tls(brokers: dev.kafka.Kafka, authority: Authority) -> None:
    with proxies(brokers, server_context(authority.issue())) as servers:
        files = {"security_protocol": "SSL", "ssl_ca_file": authority.cert}
        async with connect(servers, **files) as client:
            await until_result(only_check(client))
            await publish(client)


async def test_mutual_tls(brokers: dev.kafka.Kafka, authority: Authority) -> None:
    mine = authority.issue("client")
    context = server_context(authority.issue(), authority.cert)
    with proxies(brokers, context) as servers:
        files = {"security_protocol": "SSL", "ssl_ca_file": authority.cert}
        pair = {"ssl_cert_file": mine.cert, "ssl_key_file": mine.key}
        async with connect(servers, **files, **pair) as client:
            await until_result(only_check(client), certificates=2)
            await publish(client)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.error)
async def test_failed_handshake_has_a_name_and_is_permanent(
    brokers: dev.kafka.Kafka, authority: Authority, fault: Fault
) -> None:
    certificate, clients, ca = authority.issue_for(fault)
    with proxies(brokers, server_context(certificate, clients)) as servers:
        async with connect(servers, security_protocol="SSL", ssl_ca_file=ca) as client:
            await until_error(only_check(client), fault.error)
            client.publish(b"key", b"value")
    assert client._publisher.dropped == 1


async def test_certificate_that_expires_soon_warns(
    brokers: dev.kafka.Kafka, authority: Authority
) -> None:
    with proxies(brokers, server_context(authority.issue(days=13))) as servers:
        files = {"security_protocol": "SSL", "ssl_ca_file": authority.cert}
        async with connect(servers, **files) as client:
            result = await until_result(only_check(client), Status.WARN)
    assert result.detail == "a certificate expires in 12 days"


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("encrypted", [False, True])
async def test_publisher_and_check_log_in(
    *, brokers: dev.kafka.Kafka, authority: Authority, mechanism: str, encrypted: bool
) -> None:
    context = server_context(authority.issue()) if encrypted else None
    protocol = "SASL_SSL" if encrypted else "SASL_PLAINTEXT"
    options = {"ssl_ca_file": authority.cert} if encrypted else {}
    options |= {"security_protocol": protocol, "sasl_mechanism": mechanism, **LOG_IN}
    with proxies(brokers, context, mechanism) as servers:
        async with connect(servers, **options) as client:
            await until_result(only_check(client), certificates=int(encrypted))
            await publish(client)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_wrong_password_is_permanent_and_no_output_shows_it(
    brokers: dev.kafka.Kafka, start_service: StartService, mechanism: str
) -> None:
    with proxies(brokers, mechanism=mechanism) as servers:
        service = start_service(
            KAFKA_BOOTSTRAP_SERVERS=servers,
            KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT",
            KAFKA_SASL_MECHANISM=mechanism,
            KAFKA_SASL_USERNAME="service",
            KAFKA_SASL_PASSWORD="Hunter2-of-kafka",
        )
        service.until_error("kafka", "SaslAuthenticationFailed")
        page = service.management.get("/health").text
        service.process.stop()
    written = service.log.read_text()
    assert "health check kafka: fail: SaslAuthenticationFailed" in written
    assert "Hunter2" not in written + page


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"ssl_ca_file": "/ca"},
            f"KAFKA_SSL_CA_FILE: {WITHOUT_EFFECT} SSL or SASL_SSL.",
        ),
        (
            {"sasl_username": "service", "sasl_password": "Hunter2"},
            f"KAFKA_SASL_USERNAME: {WITHOUT_EFFECT} SASL_SSL or SASL_PLAINTEXT.",
        ),
        (
            {"sasl_password": "Hunter2"},
            f"KAFKA_SASL_PASSWORD: {WITHOUT_EFFECT} SASL_SSL or SASL_PLAINTEXT.",
        ),
        (
            {"security_protocol": "SSL", "sasl_mechanism": "PLAIN"},
            f"KAFKA_SASL_MECHANISM: {WITHOUT_EFFECT} SASL_SSL or SASL_PLAINTEXT.",
        ),
        (
            {"security_protocol": "SASL_SSL", "sasl_username": "service"},
            "KAFKA_SASL_PASSWORD: not set. KAFKA_SECURITY_PROTOCOL=SASL_SSL needs it.",
        ),
        (
            {"security_protocol": "SSL", "ssl_cert_file": "/no"},
            "KAFKA_SSL_CERT_FILE: the file '/no' cannot be read.",
        ),
        (
            {"security_protocol": "SSL", "ssl_key_file": "/no"},
            "KAFKA_SSL_KEY_FILE: it has no effect without KAFKA_SSL_CERT_FILE.",
        ),
    ],
)
def test_unusable_settings_are_rejected_in_one_sentence(
    settings: dict[str, object], sentence: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        Kafka(KafkaSettings(bootstrap_servers="a:1", **settings))  # type: ignore[arg-type]
    assert raised.value.errors == [sentence]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"ssl_ca_file": "key"}, "KAFKA_SSL_CA_FILE: {key} has no PEM certificate."),
        (
            {"ssl_cert_file": "cert", "ssl_key_file": "other"},
            f"KAFKA_SSL_KEY_FILE: {{other}} {NO_KEY} {{cert}}.",
        ),
        (
            {"ssl_cert_file": "cert"},
            f"KAFKA_SSL_CERT_FILE: {{cert}} {NO_KEY} {{cert}}.",
        ),
    ],
)
def test_unusable_file_is_rejected_in_one_sentence(
    authority: Authority, settings: dict[str, str], sentence: str
) -> None:
    mine, other = authority.issue("client"), authority.issue("other")
    files = {"cert": mine.cert, "key": mine.key, "other": other.key}
    chosen: dict[str, object] = {name: files[value] for name, value in settings.items()}
    with pytest.raises(SettingsError) as raised:
        Kafka(KafkaSettings(bootstrap_servers="a:1", security_protocol="SSL", **chosen))  # type: ignore[arg-type]
    assert raised.value.errors == [sentence.format(**{n: repr(f) for n, f in files.items()})]


# aiokafka 0.14 drops a connection that ends while it is being opened, without closing it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_renewed_certificates_are_used_for_the_next_connection(
    brokers: dev.kafka.Kafka, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "renewed")
    files = ClientFiles.create(tmp_path, authority)
    settings = {"ssl_ca_file": files.ca, "ssl_cert_file": files.cert, "ssl_key_file": files.key}
    running: list[KafkaProxy] = []
    context = server_context(authority.issue(), authority.cert)
    with proxies(brokers, context, running=running) as servers:
        async with connect(servers, security_protocol="SSL", **settings) as client:
            await until_result(only_check(client), certificates=2)
            await publish(client)
            for proxy in running:
                proxy.context = server_context(other.issue(), other.cert)
                proxy.disconnect()
            await until_error(only_check(client), "CertificateUnknownAuthority")
            files.renew(other)
            await until_result(only_check(client), certificates=2)
            await publish(client)
