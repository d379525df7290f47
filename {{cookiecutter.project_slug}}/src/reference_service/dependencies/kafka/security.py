"""How to connect to Kafka: encryption and log-in, as options of aiokafka."""

import ssl
from typing import Any

from ...environment import SettingsError
from ..tls_files import create_context
from .settings import KafkaSettings


def connection_options(settings: KafkaSettings) -> dict[str, Any]:
    """Return the options of every connection. Raises SettingsError if settings contradict."""
    options: dict[str, Any] = {"security_protocol": settings.security_protocol}
    if context := create_tls_context(settings):
        options["ssl_context"] = context
    user, secret = settings.sasl_username, settings.sasl_password
    if "SASL" not in settings.security_protocol:
        for field in ("sasl_username", "sasl_password", "sasl_mechanism"):
            if field in settings.model_fields_set:
                variable = f"KAFKA_{field.upper()}"
                raise SettingsError([_needs(variable, "SASL_SSL or SASL_PLAINTEXT")])
        return options
    if not (user and secret):
        name = "KAFKA_SASL_PASSWORD" if user else "KAFKA_SASL_USERNAME"
        protocol = settings.security_protocol
        raise SettingsError([f"{name}: not set. KAFKA_SECURITY_PROTOCOL={protocol} needs it."])
    options["sasl_mechanism"] = settings.sasl_mechanism
    options["sasl_plain_username"] = user
    options["sasl_plain_password"] = secret.get_secret_value()
    return options


def create_tls_context(settings: KafkaSettings) -> ssl.SSLContext | None:
    """Return a new context, or None without TLS. Raises SettingsError, which names a file."""
    files = settings.ssl_ca_file, settings.ssl_cert_file, settings.ssl_key_file
    variables = dict(zip(("ca", "cert", "key"), files, strict=True))
    if settings.security_protocol in ("SSL", "SASL_SSL"):
        return create_context(_variable, *files)
    for part, path in variables.items():
        if path:
            raise SettingsError([_needs(_variable(part), "SSL or SASL_SSL")])
    return None


def _variable(part: str) -> str:
    return f"KAFKA_SSL_{part.upper()}_FILE"


def _needs(variable: str, protocols: str) -> str:
    return f"{variable}: it has no effect unless KAFKA_SECURITY_PROTOCOL is {protocols}."
