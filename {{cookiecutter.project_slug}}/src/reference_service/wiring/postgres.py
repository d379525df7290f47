"""PostgreSQL keeps the items."""

from ..items.postgres import PostgresItems
from ..resources.postgres import Postgres, PostgresSettings
from . import Assembly, Figure, Wiring


def _keep_items(service: Assembly, settings: PostgresSettings) -> None:
    postgres = service.resources.add(Postgres(settings))
    service.store = PostgresItems(postgres.engine)
    gauge = postgres.gauge
    service.figures += [
        Figure("postgres_pool_connections_in_use", "Lent to requests.", lambda: gauge.lent),
        Figure("postgres_pool_connections_max", "At most.", lambda: gauge.capacity),
    ]


WIRING = Wiring(PostgresSettings, _keep_items)
