"""PostgreSQL keeps the items."""

from ..dependencies.postgres import Postgres, PostgresSettings
from ..items.postgres import PostgresItems
from . import Assembly, Figure, Wiring


def _keep_items(service: Assembly, settings: PostgresSettings) -> None:
    postgres = service.resources.add(Postgres(settings))
    service.store = PostgresItems(postgres.engine)
    usage = postgres.pool_usage
    service.figures += [
        Figure("postgres_pool_connections_in_use", "Lent to requests.", lambda: usage.in_use),
        Figure("postgres_pool_connections_max", "At most.", lambda: usage.max_size),
    ]


WIRING = Wiring(PostgresSettings, _keep_items)
