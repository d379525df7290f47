"""The metadata of every domain's tables, for example `Table("orders", METADATA, OrderColumns)`.

The migrations compare it with the database.
"""

from sqlalchemy import MetaData

# PostgreSQL's own names for constraints, so that migrations can refer to them.
METADATA = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)
