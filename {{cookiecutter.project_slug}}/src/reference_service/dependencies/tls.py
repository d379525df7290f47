"""TLS: names for what makes a handshake fail, and whether files have been renewed."""

import re
import ssl
from pathlib import Path

from ..health import PermanentFailure


class CertificateExpired(PermanentFailure):
    """The server's certificate, or that of its authority, has expired."""


class CertificateHostMismatch(PermanentFailure):
    """The server's certificate is valid for another host."""


class CertificateUnknownAuthority(PermanentFailure):
    """No trusted authority has signed the server's certificate."""


class CertificateInvalid(PermanentFailure):
    """The server's certificate cannot be verified for another reason."""


class ClientCertificateRequired(PermanentFailure):
    """The server accepts only clients that have a certificate."""


class ClientCertificateRejected(PermanentFailure):
    """The server does not accept this client's certificate."""


class TlsNotSupported(PermanentFailure):
    """The server does not speak TLS on this port."""


Meaning = tuple[type[PermanentFailure], str]

HOST = CertificateHostMismatch, "the server's certificate is for another host"
AUTHORITY = CertificateUnknownAuthority, "no trusted authority signed the server's certificate"
REQUIRED = ClientCertificateRequired, "the server requires a client certificate"
REJECTED = ClientCertificateRejected, "the server rejects the client's certificate"
OTHER = CertificateInvalid, "the server's certificate is invalid"
VERIFY_ERRORS: dict[int, Meaning] = {  # OpenSSL's X509_V_ERR_…
    10: (CertificateExpired, "the server's certificate has expired"),
    **dict.fromkeys((62, 64), HOST),  # by name and by IP address
    **dict.fromkeys((2, 18, 19, 20, 21), AUTHORITY),
}
NO_TLS = "WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|PACKET_LENGTH_TOO_LONG"
REASONS: dict[str, Meaning] = {  # the first pattern that is found
    "ALERT_(CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE)": REQUIRED,
    "ALERT_(.*CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)": REJECTED,
    NO_TLS: (TlsNotSupported, "the server does not speak TLS on this port"),
}


FAILURES = (
    *(kind for kind, _ in (HOST, AUTHORITY, REQUIRED, REJECTED, OTHER)),
    *(CertificateExpired, TlsNotSupported, ssl.SSLCertVerificationError),
)


def explain(error: BaseException | None) -> PermanentFailure | None:
    """Return what the TLS error behind an exception means, or None if there is none."""
    if isinstance(error, PermanentFailure):
        return error
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    if isinstance(error, ssl.SSLCertVerificationError):
        kind, detail = VERIFY_ERRORS.get(error.verify_code, OTHER)
    else:
        reason = (error and error.reason) or ""
        found = [REASONS[pattern] for pattern in REASONS if re.search(pattern, reason)]
        if not found:
            return None
        kind, detail = found[0]
    failure = kind(detail)
    failure.args = (f"{detail}: {error}",)  # for the log: it can name the host
    return failure


def file_versions(*paths: str | None) -> list[object]:
    """Return what changes when one of the files is replaced. None and missing files are ignored."""
    return [Path(path).stat().st_mtime_ns for path in paths if path and Path(path).exists()]
