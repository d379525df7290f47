"""What the service says of itself, and a watch on its event loop."""

from .access_log import AccessLog
from .event_loop import watch_loop
from .logs import configure_logging

__all__ = ["AccessLog", "configure_logging", "watch_loop"]
