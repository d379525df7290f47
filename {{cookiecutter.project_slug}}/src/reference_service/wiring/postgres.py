"""PostgreSQL keeps the items."""

from ..dependencies.postgres.client import Postgres, PostgresSettings
from ..items.postgres import PostgresItems
from . import Assembly, Figure, Wiring


def _keep_items(service: Assembly, settings: PostgresSettings) -> None:
    postgres = service.resources.add(Postgres(settings))
    service.store = PostgresItems(postgres.engine)
    gauge = postgres.gauge
    service.figures += [
        Figure("postgres_pool_connections_in_use", "Lent to requests.", lambda: gauge.in_use),
        Figure("postgres_pool_connections_max", "At most.", lambda: gauge.max_size),
    ]


WIRING = Wiring(PostgresSettings, _keep_items)
