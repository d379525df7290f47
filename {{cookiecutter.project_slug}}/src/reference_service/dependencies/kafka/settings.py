"""Settings of the Kafka cluster and its topics."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

ADDRESS = re.compile(r"([\w.-]+|\[[\da-fA-F:.]+\]):(\d{1,5})", re.ASCII)
TOPIC = re.compile(r"(?!\.{1,2}$)[\w.-]{1,249}", re.ASCII)
"""The names that Kafka accepts, see `org.apache.kafka.common.internals.Topic`."""


def split_list(text: str) -> list[str]:
    """Return the parts of a list like `a,b`, in order and without duplicates."""
    return list(dict.fromkeys(part.strip() for part in text.split(",")))


def _require_addresses(text: str) -> str:
    for part in split_list(text):
        address = ADDRESS.fullmatch(part)
        if not address or not 0 < int(address[2]) < 1 << 16:
            raise ValueError("not the addresses of brokers")
    return text


def _require_topics(text: str) -> str:
    if not all(TOPIC.fullmatch(part) for part in split_list(text)):
        raise ValueError("not the names of topics")
    return text


class KafkaSettings(BaseSettings):
    """The brokers to connect to and the topics to use."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_", use_attribute_docstrings=True)

    bootstrap_servers: Annotated[str, AfterValidator(_require_addresses)]
    """Some brokers of the cluster, as host:port,host:port; they name the others."""
    topics: Annotated[str, AfterValidator(_require_topics)] = "items"
    """Topics that must exist, as a,b; item events are published to the first."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Whether to connect with TLS (SSL), and whether to log in (SASL), in Kafka's names."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    """How to log in. PLAIN sends the password itself."""
    sasl_username: str | None = None
    """User to log in as."""
    sasl_password: SecretStr | None = None
    """Password of this user."""
    ssl_ca_file: str | None = None
    """File with the certificates of the authorities that sign those of the brokers, in PEM format.
    Default: the authorities that the system trusts."""
    ssl_cert_file: str | None = None
    """File with the certificate of this client, for mutual TLS, in PEM format."""
    ssl_key_file: str | None = None
    """File with the key of this certificate. Default: the same file."""
