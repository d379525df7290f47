"""Keep background work out of traces."""

import contextlib
from collections.abc import Iterator

from opentelemetry import context
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY

from ..health import Check


@contextlib.contextmanager
def suppress_tracing(_: Check) -> Iterator[None]:
    """Run one attempt of a check without a trace. Otherwise each attempt would create one."""
    token = context.attach(context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
    try:
        yield
    finally:
        context.detach(token)
