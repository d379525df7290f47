"""The types of ASGI 3, defined here so that this folder needs no package."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]  # each framework has other types for these


def route_path(scope: Scope) -> str:
    """Return the path of a request below the root path (ASGI HTTP specification, `root_path`).

    Some servers and frameworks put the root path in front of `path`, others do not.
    """
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    below = path.removeprefix(root)
    return below if root and below.startswith("/") else path
