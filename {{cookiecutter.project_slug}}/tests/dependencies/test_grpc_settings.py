"""The variable that names the gRPC services, and the errors for invalid values."""

import pytest

from reference_service.dependencies.grpc import GrpcSettings
from reference_service.environment import (
    SettingsError,
    read_section,
)


def test_targets_are_parsed_with_and_without_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRPC_TARGETS", "orders=orders.shop.svc:50051/shop.Orders, eta=[::1]:80")
    targets = read_section(GrpcSettings).targets
    assert [(target.name, target.address, target.service) for target in targets] == [
        ("orders", "orders.shop.svc:50051", "shop.Orders"),
        ("eta", "[::1]:80", ""),
    ]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("", "GRPC_TARGETS: not set. "),
        (",", "GRPC_TARGETS: it names no target (it is ',')."),
        ("a=h:1,a=h:2", "GRPC_TARGETS: two targets are named 'a'"),
        *(
            (value, f"GRPC_TARGETS: '{value}' is not name=host:port/service")
            for value in ("h:1/s", "a=h/s", "a=h:65536", "a=h:0", "A=h:1", "=h:1", "a=http://h:1")
        ),
    ],
)
def test_invalid_target_is_reported_in_one_sentence(
    value: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRPC_TARGETS", value)
    with pytest.raises(SettingsError) as raised:
        read_section(GrpcSettings)
    [error] = str(raised.value).splitlines()
    assert error.startswith(sentence)
