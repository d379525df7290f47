"""PostgreSQL keeps the items."""

from ..items.postgres import PostgresItems
from ..resources.postgres import Postgres, PostgresSettings
from . import Assembly, Wiring


def _keep_items(service: Assembly, settings: PostgresSettings) -> None:
    postgres = service.resources.add(Postgres(settings))
    service.store = PostgresItems(postgres.engine)


POSTGRES = Wiring(PostgresSettings, _keep_items)
