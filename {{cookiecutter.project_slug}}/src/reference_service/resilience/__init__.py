"""Middleware that isolates the failure of one request: one pure-ASGI class per file.

Each file stands alone beside `problem.py`, which writes every error body:

    app.add_middleware(Timeout, seconds=10)
    app.add_middleware(Recovery)
    app.add_middleware(BodyLimit, max_bytes=1_048_576)
    app.add_middleware(ConcurrencyLimit, limit=AdaptiveLimit(objective=0.2))

(The middleware that is added last runs first.)
"""

from .adaptive_limit import AdaptiveLimit as AdaptiveLimit
from .body_limit import BodyLimit as BodyLimit
from .concurrency_limit import ConcurrencyLimit as ConcurrencyLimit
from .connection_close import ConnectionClose as ConnectionClose
from .early_rejection import EarlyRejection as EarlyRejection
from .event_streams import EventStreams as EventStreams
from .event_streams import OpenStreams as OpenStreams
from .problem import problem_body as problem_body
from .problem import send_problem as send_problem
from .recovery import Recovery as Recovery
from .timeout import Timeout as Timeout
from .websocket_guard import WebSocketGuard as WebSocketGuard
