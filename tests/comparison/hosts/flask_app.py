"""A Flask application without health checks. It runs under a WSGI server."""

import os

from flask import Flask
from psycopg_pool import ConnectionPool
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUT = 5

pool = ConnectionPool(
    os.environ["DATABASE_URL"],
    min_size=5,
    max_size=5,
    timeout=TIMEOUT,
    check=ConnectionPool.check_connection,
    kwargs={"connect_timeout": TIMEOUT},
    open=True,
)
cache = Redis.from_url(
    os.environ["REDIS_URL"],
    socket_timeout=TIMEOUT,
    socket_connect_timeout=TIMEOUT,
    retry=Retry(NoBackoff(), 0),
)
app = Flask(__name__)


@app.get("/hello")
def hello() -> str:
    return "hello"


@app.post("/items")
def create_item() -> str:
    with pool.connection() as connection:
        connection.execute("INSERT INTO items VALUES ('Lamp')")
    cache.set("item", "Lamp")
    return "created"
