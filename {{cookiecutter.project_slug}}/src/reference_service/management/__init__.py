"""Shows the details of the checks on a private port. Standard library and `health` only.

    management = ManagementApp(registry)

It is an ASGI application without authentication: serve it on a port that is never public.
"""

from .app import ManagementApp as ManagementApp
