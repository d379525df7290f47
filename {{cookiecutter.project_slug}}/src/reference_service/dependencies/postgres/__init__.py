"""PostgreSQL: settings, client, health checks, and the metadata of every domain's tables.

Use `rows = await postgres.read(statement)`, `write` and `transaction`. Statements and connections
are SQLAlchemy's.
"""

from .client import Postgres as Postgres
from .schema import METADATA as METADATA
from .settings import PostgresSettings as PostgresSettings
from .work import CHECK_CONSTRAINTS as CHECK_CONSTRAINTS
from .work import OperationFailed as OperationFailed
from .work import Step as Step
from .work import work_check as work_check
