"""Break what only some of the statements of items need, or only their commit."""

from .break_tables import BIG_POOL, table_fault
from .environment import Environment
from .harness import Action
from .postgres_actions import FAST_ROWS, slow_rows, sql
from .truth import State

DEFERRED = """
    CREATE FUNCTION on_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;
    CREATE CONSTRAINT TRIGGER on_commit AFTER INSERT OR UPDATE ON items
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION on_commit()
    """
DROP_CONSTRAINT = "DROP FUNCTION on_commit CASCADE"
MANY_ITEMS = "INSERT INTO items (name) SELECT 'many' FROM generate_series(1, 400)"
INDEX = "items_created_at_id_idx"


def deferred(body: str) -> Action:
    """Return an action that adds a constraint, which PostgreSQL checks at each commit."""
    return sql(DEFERRED.format(body=body))


def drop_index(env: Environment) -> None:
    """Drop the index of the pages: each page then reads every item."""
    sql(MANY_ITEMS, *slow_rows(0.01), f"DROP INDEX {INDEX}")(env)


def create_index(env: Environment) -> None:
    """Create the index of the pages again."""
    sql(
        f"CREATE INDEX {INDEX} ON items (created_at, id)",
        *FAST_ROWS,
        "DELETE FROM items WHERE name = 'many'",
    )(env)


RULES = [
    table_fault(
        "A deferred constraint rejects every change when it is committed",
        deferred("RAISE EXCEPTION 'rejected';"),
        DROP_CONSTRAINT,
        State.READS_ONLY,
    ),
    table_fault(
        "A deferred constraint makes each commit take 3 s",
        deferred("PERFORM pg_sleep(3); RETURN NULL;"),
        DROP_CONSTRAINT,
        State.READS_ONLY,
        settings=BIG_POOL,
    ),
    table_fault(
        "PostgreSQL role may change only the name of items",
        sql(
            "REVOKE UPDATE ON items FROM service",
            "GRANT UPDATE (name, updated_at) ON items TO service",
        ),
        "GRANT UPDATE ON items TO service",
        State.READS_ONLY,
    ),
    table_fault(
        "First page contains an item that this build cannot read",
        "INSERT INTO items (name, created_at) VALUES ('far', '20000-01-01')",
        "DELETE FROM items WHERE name = 'far'",
        State.DOWN,
    ),
    table_fault(
        "Index of the pages is missing, and a page reads every item",
        drop_index,
        create_index,
        State.DOWN,
        settings=BIG_POOL,
    ),
]
