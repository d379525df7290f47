"""Believe what trusted proxies say about their clients."""

from typing import Any

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware


class TrustedProxies(ProxyHeadersMiddleware):
    """uvicorn's `ProxyHeadersMiddleware` that also marks the requests of trusted proxies.

    It uses `X-Forwarded-For` and `X-Forwarded-Proto`. It ignores `X-Forwarded-Host`: most proxies
    pass on what their client sent there, so the trust in the proxy does not cover it.

    `scope["state"]["from_trusted_proxy"]` is true for these requests.
    """

    def __init__(self, app: Any, trusted: str) -> None:
        super().__init__(app, trusted)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Mark one request, and correct its client and its scheme."""
        if scope["type"] != "lifespan":
            address, port = scope.get("client") or ("", 0)
            if address.startswith("::ffff:"):  # an IPv4 client of a listener for both families
                address = address.removeprefix("::ffff:")
                scope["client"] = address, port
            scope["state"]["from_trusted_proxy"] = address in self.trusted_hosts
        await super().__call__(scope, receive, send)
