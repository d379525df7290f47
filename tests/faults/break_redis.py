"""Redis broken: the server, its network, a replica of it, and a group watched by Sentinel."""

import asyncio
import secrets

from dev.sentinel_nodes import DataNode

from .environment import Rig
from .harness import AT_ONCE, DETECTION, RECOVERY, Act, Fault

PING_PERIOD = 10.0
"""Seconds between a primary's pings to its replicas, `repl-ping-replica-period`, by default."""
FAILOVER = 10.0
"""Seconds that the sentinels may take to notice, agree, and have another primary."""


def ask(*command: str) -> Act:
    """Return what gives Redis a command."""
    return lambda rig: rig.valkey.ask(*command)


def rotate(rig: Rig) -> None:
    """Ask for a password that the service does not know, also of those who are connected."""
    rig.valkey.ask("CONFIG", "SET", "requirepass", "other")
    rig.valkey.settings["requirepass"] = "other"
    rig.valkey.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def rotate_back(rig: Rig) -> None:
    """Ask for no password any more."""
    rig.valkey.ask("CONFIG", "SET", "requirepass", "")
    del rig.valkey.settings["requirepass"]


def load_slowly(rig: Rig) -> None:
    """Have it come back with so much to load that it says so for ten seconds."""
    for number in range(600):
        rig.valkey.ask("SET", f"loaded-{number}", secrets.token_hex(1024))
    rig.valkey.ask("BGREWRITEAOF")
    while "aof_rewrite_in_progress:0" not in rig.valkey.ask("INFO", "persistence"):
        pass
    rig.valkey.stop()
    rig.valkey.settings |= {
        "key-load-delay": "20000",
        "loading-process-events-interval-bytes": "1024",
    }


async def load(rig: Rig) -> None:
    """Restart it, and do not wait until it has loaded."""
    await asyncio.to_thread(load_slowly, rig)
    rig.goes_on(asyncio.to_thread(rig.valkey.start))


def loaded(rig: Rig) -> None:
    """Load as fast as ever from now on."""
    for name in ("key-load-delay", "loading-process-events-interval-bytes"):
        del rig.valkey.settings[name]


def slow_down(seconds: float) -> Act:
    """Return what lets each answer of Redis be late."""

    async def slow(rig: Rig) -> None:
        rig.proxies["redis"].latency = seconds

    return slow


async def swallow(rig: Rig) -> None:
    """Let everything vanish that is sent or on its way."""
    rig.proxies["redis"].swallow()


async def mend(rig: Rig) -> None:
    """Let the network be well again."""
    rig.proxies["redis"].heal()


def stop_two(rig: Rig) -> None:
    """Stop two of three sentinels."""
    for sentinel in rig.sentinels.sentinels[:2]:
        sentinel.stop()


def start_two(rig: Rig) -> None:
    """Start them again."""
    for sentinel in rig.sentinels.sentinels[:2]:
        sentinel.start()


def rotate_sentinels(rig: Rig) -> None:
    """Have every sentinel ask for a password, also of those who are connected."""
    for sentinel in rig.sentinels.sentinels:
        sentinel.ask("ACL", "SETUSER", "default", "resetpass", ">other")
        sentinel.settings["requirepass"] = "other"
        sentinel.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def rotate_sentinels_back(rig: Rig) -> None:
    """Ask for no password any more."""
    for sentinel in rig.sentinels.sentinels:
        sentinel.ask("ACL", "SETUSER", "default", "resetpass", "nopass")
        del sentinel.settings["requirepass"]


def the_primary(rig: Rig) -> DataNode:
    """Return the data node that is the primary now."""
    primary = rig.sentinels.current_primary()
    assert primary is not None
    return primary


def mend_nodes(rig: Rig) -> None:
    """Start the data nodes that do not run, and let all go on."""
    for node in (rig.sentinels.primary, *rig.sentinels.replicas):
        if node.runs:
            node.resume()
        else:
            node.start()


PLAIN = [
    Fault(
        "Redis is stopped",
        lambda rig: rig.valkey.stop(),
        lambda rig: rig.valkey.start(),
        blames="redis: ConnectionError",
    ),
    Fault(
        "Redis is killed",
        lambda rig: rig.valkey.kill(),
        lambda rig: rig.valkey.start(),
        blames="redis: ConnectionError",
    ),
    Fault(
        "Redis is frozen",
        lambda rig: rig.valkey.pause(),
        lambda rig: rig.valkey.resume(),
        ready=504,
        blames="redis: TimeoutError",
    ),
    Fault(
        "Redis is loading its data",
        load,
        loaded,
        blames="redis: BusyLoadingError",
        back=15,
    ),
    Fault(
        "Redis is out of memory",
        ask("CONFIG", "SET", "maxmemory", "1"),
        ask("CONFIG", "SET", "maxmemory", "0"),
        blames="redis: OutOfMemoryError",
    ),
    Fault(
        "Redis has too few replicas to take writes",
        ask("CONFIG", "SET", "min-replicas-to-write", "1"),
        ask("CONFIG", "SET", "min-replicas-to-write", "0"),
        blames="redis: TooFewReplicas",
    ),
    Fault(
        "Redis is demoted to a replica of nobody",
        ask("REPLICAOF", "127.0.0.1", "1"),
        ask("REPLICAOF", "NO", "ONE"),
        blames="redis: LinkDown",
    ),
    Fault(
        "Redis's password is changed, and rotated back",
        rotate,
        rotate_back,
        blames="redis: AuthenticationError",
        within=AT_ONCE,
        back=AT_ONCE,
    ),
]

PROXIED = [
    Fault(
        "The network swallows what Redis is asked",
        swallow,
        mend,
        ready=504,
        blames="redis: TimeoutError",
    ),
    Fault(
        "Redis answers after 100 ms (no fault: it answers)",
        slow_down(0.1),
        mend,
        ready=200,
        hold=DETECTION,
    ),
    Fault(
        "Redis answers after 2 s",
        slow_down(2),
        mend,
        ready=504,
        blames="redis: TimeoutError",
    ),
]

REPLICA = [
    Fault(
        "A replica's primary is stopped",
        lambda rig: rig.valkey.stop(),
        lambda rig: rig.valkey.start(),
        blames="redis: LinkDown",
        back=4,
    ),
    Fault(
        "A replica that follows its primary (no fault: it is idle)",
        lambda _: None,
        ready=200,
        hold=PING_PERIOD + DETECTION,
    ),
    Fault(
        "A replica's primary is frozen",
        lambda rig: rig.valkey.pause(),
        lambda rig: rig.valkey.resume(),
        blames="redis: LinkDown",
        within=15 + DETECTION,
        back=PING_PERIOD + RECOVERY,
    ),
]

SENTINEL = [
    Fault(
        "One of three sentinels is stopped",
        lambda rig: rig.sentinels.sentinels[2].stop(),
        lambda rig: rig.sentinels.sentinels[2].start(),
        ready=200,
        warns=True,
        blames="redis.sentinel: ",
        hold=DETECTION,
    ),
    Fault(
        "One of three sentinels is frozen",
        lambda rig: rig.sentinels.sentinels[1].pause(),
        lambda rig: rig.sentinels.sentinels[1].resume(),
        ready=200,
        warns=True,
        blames="redis.sentinel: ",
        hold=DETECTION,
    ),
    Fault(
        "One of three sentinels is stopped, and the service is strict",
        lambda rig: rig.sentinels.sentinels[0].stop(),
        lambda rig: rig.sentinels.sentinels[0].start(),
        blames="redis.sentinel: ",
        settings={"REDIS_SENTINEL_STRICT": "true"},
    ),
    Fault(
        "Two of three sentinels are stopped",
        stop_two,
        start_two,
        blames="redis.sentinel: ",
        back=4,
    ),
    Fault(
        "The sentinels' password is changed, and rotated back",
        rotate_sentinels,
        rotate_sentinels_back,
        blames="redis.sentinel: ",
        back=AT_ONCE,
    ),
    Fault(
        "The primary is frozen, and fails over",
        lambda rig: the_primary(rig).pause(),
        mend_nodes,
        ready=200,
        also=frozenset({503, 504}),
        hold=FAILOVER,
    ),
    Fault(
        "The primary is killed, and fails over",
        lambda rig: the_primary(rig).kill(),
        mend_nodes,
        ready=200,
        also=frozenset({503, 504}),
        hold=FAILOVER,
    ),
    Fault(
        "A healthy group fails over as planned (no fault)",
        lambda rig: rig.sentinels.failover(),
        ready=200,
        hold=FAILOVER,
    ),
]
