"""What the service says of itself, and a watch on its event loop."""

from .access import AccessLog
from .logs import configure_logging
from .loop import watch_loop

__all__ = ["AccessLog", "configure_logging", "watch_loop"]
