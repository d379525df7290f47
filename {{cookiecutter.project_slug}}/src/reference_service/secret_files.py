"""Secrets in files, as orchestrators mount them: `NAME_FILE` in place of `NAME`."""

import contextlib
import os
from pathlib import Path

from pydantic import SecretStr

from .redaction import hide

SUFFIX = "_FILE"


class SecretFile(SecretStr):
    """A secret that is read again each time it is used, because a platform can replace the file.

    While the file is missing or empty, it keeps its latest value. Line breaks at the end of the
    file do not count.

    Raises ValueError, whose message does not contain the secret, if the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        try:
            value = _read(path)
        except OSError as error:
            raise ValueError(f"cannot read {path}: {os.strerror(error.errno or 0)}") from None
        except UnicodeDecodeError:
            raise ValueError(f"{path} is not UTF-8 text") from None
        if not value:
            raise ValueError(f"{path} is empty")
        super().__init__(value)
        self._path = path

    def get_secret_value(self) -> str:
        """Return what the file contains now."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            value = _read(self._path)
            if value and value != self._secret_value:
                hide(value)
                self._secret_value = value
        return self._secret_value


def find_secret_file(variable: str) -> SecretFile | None:
    """Return the secret of the file that `VARIABLE_FILE` names. None if it is unset or empty.

    Raises ValueError, whose message names no secret, if it cannot be read.
    """
    path = os.environ.get(f"{variable}{SUFFIX}")
    if not path:
        return None
    if os.environ.get(variable):
        raise ValueError(f"set either {variable} or {variable}{SUFFIX}")
    return SecretFile(Path(path))


def _read(path: Path) -> str:
    return path.read_text("utf-8").rstrip("\r\n")
