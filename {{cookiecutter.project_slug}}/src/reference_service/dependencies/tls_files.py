"""TLS from files in PEM format, with one sentence for what is wrong with them."""

import os
import ssl
from collections.abc import Callable

from ..environment import SettingsError


def create_context(
    variable: Callable[[str], str],
    ca_file: str | None,
    cert_file: str | None,
    key_file: str | None,
) -> ssl.SSLContext:
    """Return a context that verifies servers, from files in PEM format.

    variable: returns the name of the setting that has the file `ca`, `cert` or `key`.
    ca_file: None: the authorities that the system trusts. key_file: None: it is in `cert_file`.

    Raises SettingsError, whose sentence names the setting.
    """
    if key_file and not cert_file:
        raise SettingsError([f"{variable('key')}: it has no effect without {variable('cert')}."])
    files = {"ca": ca_file, "cert": cert_file, "key": key_file}
    for part, path in files.items():
        if path and not os.access(path, os.R_OK):
            raise SettingsError([f"{variable(part)}: the file {path!r} cannot be read."])
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise SettingsError([f"{variable('ca')}: {ca_file!r} has no PEM certificate."]) from None
    if cert_file:
        try:
            context.load_cert_chain(cert_file, key_file, password="")
        except ssl.SSLError:
            part, path = ("key", key_file) if key_file else ("cert", cert_file)
            wrong = f"{path!r} has no PEM key, without a password, of the certificate"
            raise SettingsError([f"{variable(part)}: {wrong} in {cert_file!r}."]) from None
    return context
