"""What the tests of the whole service know about the example domain.

A team that replaces the example changes this file and the folder `tests/items`.
"""

PATH = "/items"
TABLE = "items"  # feature: postgres
CHECK = "items"  # feature: postgres
INSERT_ROW = "INSERT INTO items (name) VALUES ('Lamp') RETURNING id"  # feature: postgres
INSERT_ROWS = "INSERT INTO items (name) SELECT generate_series(1, $1::int)"  # feature: postgres
ROUTE = "/items/{item_id}"
"""The route of one item, as metrics and traces name it."""
NEW = {"name": "Lamp"}
"""A body that POST accepts."""
CHANGE = {"name": "Torch"}
"""A body that PATCH accepts."""
