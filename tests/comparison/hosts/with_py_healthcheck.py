"""py-healthcheck: the application writes the checks. Its timeout is off by default and set here."""

from healthcheck import HealthCheck

from .flask_app import TIMEOUT, app, cache, pool


def database_available() -> tuple[bool, str]:
    with pool.connection() as connection:
        connection.execute("SELECT 1")
    return True, "database ok"


def redis_available() -> tuple[bool, str]:
    cache.ping()
    return True, "redis ok"


health = HealthCheck(error_timeout=TIMEOUT, checkers=[database_available, redis_available])
app.add_url_rule("/healthcheck", "healthcheck", view_func=health.run)
