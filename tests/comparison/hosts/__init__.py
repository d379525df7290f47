"""The applications that are compared. Each `with_*.py` is what a library adds to an application.

`fastapi_app.py`, `django_app.py` and `flask_app.py` are the applications without health checks.
They have the same routes: `/hello` needs no dependency, `/items` writes to PostgreSQL and Redis,
and `/tasks` counts the tasks of the event loop. Their clients have timeouts, do not retry, and test
a pooled connection before they use it.
"""
