"""The route of a request, as logs and metrics name it."""

from ..health.asgi import Scope

OTHER = "other"  # a route that does not exist


def route_of(scope: Scope) -> str:
    """Return the path template of a request's route, for example `/items/{item_id}`.

    `scope["route"].path` lacks the prefix that its router was included with.
    """
    context = scope.get("fastapi", {}).get("effective_route_context")
    route = getattr(context, "starlette_route", None) or context or scope.get("route")
    return str(getattr(route, "path_format", OTHER))
