"""Break Redis: the server, its network, a replica, and a group that Sentinel monitors."""

import asyncio
import secrets
import time

from dev.sentinel_nodes import DataNode

from .environment import Environment
from .harness import DETECTION, PERMANENT_DETECTION, RECOVERY, Action, Fault, do_nothing
from .probe_client import OK, WARN

PING_PERIOD = 10.0
"""Seconds between two pings of a primary to its replicas: `repl-ping-replica-period`."""
FAILOVER = 10.0
"""Maximum seconds until the sentinels have detected a failure and promoted another primary."""
SAVE_TIMEOUT = 30.0
"""Seconds for Redis to rewrite 600 keys to its append-only file."""


def send_command(*command: str) -> Action:
    """Return an action that sends a command to Redis."""
    return lambda env: env.valkey.ask(*command)


def change_password(env: Environment) -> None:
    """Require a password that the service does not have, and disconnect all clients."""
    env.valkey.ask("CONFIG", "SET", "requirepass", "other")
    env.valkey.settings["requirepass"] = "other"
    env.valkey.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def remove_password(env: Environment) -> None:
    """Accept clients without a password again."""
    env.valkey.ask("CONFIG", "SET", "requirepass", "")
    del env.valkey.settings["requirepass"]


def save_and_slow_down_loading(env: Environment) -> None:
    """Save so much data, and set such a delay, that the next start loads for ten seconds."""
    for number in range(600):
        env.valkey.ask("SET", f"loaded-{number}", secrets.token_hex(1024))
    env.valkey.ask("BGREWRITEAOF")
    deadline = time.monotonic() + SAVE_TIMEOUT
    while "aof_rewrite_in_progress:0" not in env.valkey.ask("INFO", "persistence"):
        if time.monotonic() > deadline:
            raise TimeoutError("Redis did not rewrite its append-only file in time.")
        time.sleep(0.02)
    env.valkey.stop()
    env.valkey.settings |= {
        "key-load-delay": "20000",
        "loading-process-events-interval-bytes": "1024",
    }


async def restart_with_slow_loading(env: Environment) -> None:
    """Restart Redis, and do not wait until it has loaded its data."""
    await asyncio.to_thread(save_and_slow_down_loading, env)
    env.run_in_background(asyncio.to_thread(env.valkey.start))


def load_at_full_speed(env: Environment) -> None:
    """Remove the delay for the next start."""
    for name in ("key-load-delay", "loading-process-events-interval-bytes"):
        del env.valkey.settings[name]


def stop_two_sentinels(env: Environment) -> None:
    """Stop two of three sentinels."""
    for sentinel in env.sentinels.sentinels[:2]:
        sentinel.stop()


def start_two_sentinels(env: Environment) -> None:
    """Start the two stopped sentinels."""
    for sentinel in env.sentinels.sentinels[:2]:
        sentinel.start()


def change_sentinel_password(env: Environment) -> None:
    """Make every sentinel require a password, and disconnect all clients."""
    for sentinel in env.sentinels.sentinels:
        sentinel.ask("ACL", "SETUSER", "default", "resetpass", ">other")
        sentinel.settings["requirepass"] = "other"
        sentinel.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def remove_sentinel_password(env: Environment) -> None:
    """Accept clients of the sentinels without a password again."""
    for sentinel in env.sentinels.sentinels:
        sentinel.ask("ACL", "SETUSER", "default", "resetpass", "nopass")
        del sentinel.settings["requirepass"]


def current_primary(env: Environment) -> DataNode:
    """Return the data node that is currently the primary."""
    primary = env.sentinels.current_primary()
    assert primary is not None
    return primary


def repair_data_nodes(env: Environment) -> None:
    """Start the data nodes that have ended, and resume the others."""
    for node in (env.sentinels.primary, *env.sentinels.replicas):
        if node.is_running:
            node.resume()
        else:
            node.start()


DIRECT = [
    Fault(
        "Redis is stopped",
        lambda env: env.valkey.stop(),
        lambda env: env.valkey.start(),
        ready_code=WARN,
        failure="redis: ConnectionError",
    ),
    Fault(
        "Redis is killed",
        lambda env: env.valkey.kill(),
        lambda env: env.valkey.start(),
        ready_code=WARN,
        failure="redis: ConnectionError",
    ),
    Fault(
        "Redis is frozen",
        lambda env: env.valkey.pause(),
        lambda env: env.valkey.resume(),
        ready_code=WARN,
        failure="redis: TimeoutError",
    ),
    Fault(
        "Redis is loading its data",
        restart_with_slow_loading,
        load_at_full_speed,
        ready_code=WARN,
        failure="redis: BusyLoadingError",
        recover_within=15,
    ),
    Fault(
        "Redis is out of memory",
        send_command("CONFIG", "SET", "maxmemory", "1"),
        send_command("CONFIG", "SET", "maxmemory", "0"),
        ready_code=WARN,
        failure="redis: OutOfMemoryError",
    ),
    Fault(
        "Redis has too few replicas to accept writes",
        send_command("CONFIG", "SET", "min-replicas-to-write", "1"),
        send_command("CONFIG", "SET", "min-replicas-to-write", "0"),
        ready_code=WARN,
        failure="redis: TooFewReplicas",
    ),
    Fault(
        "Redis is demoted to a replica without a reachable primary",
        send_command("REPLICAOF", "127.0.0.1", "1"),
        send_command("REPLICAOF", "NO", "ONE"),
        ready_code=WARN,
        failure="redis: LinkDown",
    ),
    Fault(
        "Redis password is changed, then restored",
        change_password,
        remove_password,
        ready_code=WARN,
        failure="redis: AuthenticationError",
        detect_within=PERMANENT_DETECTION,
        recover_within=PERMANENT_DETECTION,
    ),
]

REPLICA = [
    Fault(
        "Primary of the replica is stopped",
        lambda env: env.valkey.stop(),
        lambda env: env.valkey.start(),
        ready_code=WARN,
        failure="redis: LinkDown",
        recover_within=4,
    ),
    Fault(
        "Replica is idle because nothing was written (still ready)",
        do_nothing,
        ready_code=OK,
        hold=PING_PERIOD + DETECTION,
    ),
    Fault(
        "Primary of the replica is frozen",
        lambda env: env.valkey.pause(),
        lambda env: env.valkey.resume(),
        ready_code=WARN,
        failure="redis: LinkDown",
        detect_within=15 + DETECTION,
        recover_within=PING_PERIOD + RECOVERY,
    ),
]

SENTINEL = [
    Fault(
        "One of three sentinels is stopped (still ready)",
        lambda env: env.sentinels.sentinels[2].stop(),
        lambda env: env.sentinels.sentinels[2].start(),
        ready_code=WARN,
        failure="redis.sentinel: ",
    ),
    Fault(
        "One of three sentinels is frozen (still ready)",
        lambda env: env.sentinels.sentinels[1].pause(),
        lambda env: env.sentinels.sentinels[1].resume(),
        ready_code=WARN,
        failure="redis.sentinel: ",
    ),
    Fault(
        "One of three sentinels is stopped, with REDIS_SENTINEL_STRICT",
        lambda env: env.sentinels.sentinels[0].stop(),
        lambda env: env.sentinels.sentinels[0].start(),
        ready_code=WARN,
        failure="redis.sentinel: ",
        settings={"REDIS_SENTINEL_STRICT": "true"},
    ),
    Fault(
        "Two of three sentinels are stopped",
        stop_two_sentinels,
        start_two_sentinels,
        ready_code=WARN,
        failure="redis.sentinel: ",
        recover_within=4,
    ),
    Fault(
        "Password of the sentinels is changed, then restored",
        change_sentinel_password,
        remove_sentinel_password,
        ready_code=WARN,
        failure="redis.sentinel: ",
        recover_within=PERMANENT_DETECTION,
    ),
    Fault(
        "Redis primary is frozen, and Sentinel fails over",
        lambda env: current_primary(env).pause(),
        repair_data_nodes,
        ready_code=OK,
        hold=FAILOVER,
    ),
    Fault(
        "Redis primary is killed, and Sentinel fails over",
        lambda env: current_primary(env).kill(),
        repair_data_nodes,
        ready_code=OK,
        hold=FAILOVER,
    ),
    Fault(
        "Redis fails over as planned (still ready)",
        lambda env: env.sentinels.failover(),
        ready_code=OK,
        hold=FAILOVER,
    ),
]
