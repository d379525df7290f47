"""The settings of Kafka, and the errors for invalid values."""

import pytest

from reference_service.dependencies.kafka import Kafka, KafkaSettings
from reference_service.environment import (
    SettingsError,
    read_section,
)


@pytest.fixture(autouse=True)
def one_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker:9092")


@pytest.mark.parametrize(
    "servers",
    ["broker", "broker:", ":9092", "broker:0", "broker:65536", "a:1,,b:2", "kafka://broker:1"],
)
def test_invalid_address_is_reported_in_one_sentence(
    servers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", servers)
    with pytest.raises(SettingsError) as raised:
        read_section(KafkaSettings)
    [error] = str(raised.value).splitlines()
    assert error.startswith("KAFKA_BOOTSTRAP_SERVERS: not the addresses of brokers ")
    assert repr(servers) in error
    assert error.endswith("as host:port,host:port; they name the others.")


@pytest.mark.parametrize("topics", ["a,", "a b", "a/b", "..", "ä", "a" * 250])
def test_invalid_topic_is_reported_in_one_sentence(
    topics: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_TOPICS", topics)
    with pytest.raises(SettingsError, match=r"^KAFKA_TOPICS: not the names of topics "):
        read_section(KafkaSettings)


def test_empty_variable_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_TOPICS", "")
    assert Kafka(read_section(KafkaSettings)).topics == ["items"]
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "")
    with pytest.raises(SettingsError, match=r"^KAFKA_BOOTSTRAP_SERVERS: not set\. "):
        read_section(KafkaSettings)


def test_topics_are_separated_by_commas_and_default_to_items(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Kafka(read_section(KafkaSettings)).topics == ["items"]
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker-1.kafka:9092, 10.0.0.1:9092,[::1]:9092")
    monkeypatch.setenv("KAFKA_TOPICS", "items.v1, a_b-C,items.v1")
    assert Kafka(read_section(KafkaSettings)).topics == ["items.v1", "a_b-C"]
