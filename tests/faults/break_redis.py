"""Break Redis: the server, its network, a replica, and a group that Sentinel monitors."""

import asyncio
import contextlib
import secrets
import socket
import time

from dev.ports import free_port
from dev.sentinel_nodes import DataNode
from dev.valkey import Valkey

from .environment import Environment
from .harness import DETECTION, PERMANENT_DETECTION, RECOVERY, Action, Fault, do_nothing
from .probe_client import OK, WARN

PING_PERIOD = 10.0
"""Seconds between two pings of a primary to its replicas: `repl-ping-replica-period`."""
FAILOVER = 10.0
"""Maximum seconds until the sentinels have detected a failure and promoted another primary."""
SAVE_TIMEOUT = 30.0
"""Seconds for Redis to rewrite 600 keys to its append-only file, or for two nodes to meet."""
SNAPSHOT = "dump.rdb"


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
    wait_for_reply(env, "aof_rewrite_in_progress:0", "INFO", "persistence")
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


class IdleClients:
    """Clients that use every connection that Redis accepts, as neighbors with a leak do."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.sockets: list[socket.socket] = []

    def connect(self, env: Environment) -> None:
        """Let Redis accept few clients, disconnect the service, and take every connection."""
        env.valkey.ask("CONFIG", "SET", "maxclients", str(self.count))
        env.valkey.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        address = ("127.0.0.1", env.valkey.port)
        self.sockets = [socket.create_connection(address) for _ in range(2 * self.count)]

    def disconnect(self, env: Environment) -> None:
        """Close them, and let Redis accept many clients again."""
        while self.sockets:
            self.sockets.pop().close()
        ask_until_accepted(env, "CONFIG", "SET", "maxclients", "10000")


def ask_until_accepted(env: Environment, *command: str) -> None:
    """Send a command to Redis as soon as it accepts connections again."""
    deadline = time.monotonic() + SAVE_TIMEOUT
    while True:
        try:
            env.valkey.ask(*command)
        except (OSError, RuntimeError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def run_endless_script(env: Environment) -> None:
    """Let Redis execute a script that never ends. It then answers BUSY to everything else."""
    env.valkey.ask("CONFIG", "SET", "busy-reply-threshold", "100")
    with contextlib.suppress(OSError):  # there is no reply
        env.valkey.ask("EVAL", "while true do end", "0")


def restart_as_cluster(env: Environment) -> None:
    """Restart Redis as a node of a cluster that serves no slots."""
    env.valkey.stop()
    env.valkey.settings |= {"cluster-enabled": "yes", "cluster-announce-ip": "127.0.0.1"}
    env.valkey.start()


def restart_alone(env: Environment) -> None:
    """Restart Redis as a server of its own."""
    env.valkey.stop()
    del env.valkey.settings["cluster-enabled"], env.valkey.settings["cluster-announce-ip"]
    env.valkey.start()


class ClusterPeer:
    """A second node of a cluster, which serves every key, so that the service's node serves none.

    The nodes have files of their own, because a node remembers its cluster. They load no data,
    because a node serves the keys that it finds.
    """

    def __init__(self) -> None:
        self.node: Valkey | None = None

    def start(self, env: Environment) -> None:
        """Restart Redis as a node of a cluster that answers MOVED to each command with a key."""
        self.node = Valkey(env.folder / "peer", settings=self._settings())
        self.node.start()
        self.node.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        env.valkey.stop()
        env.valkey.settings |= self._settings()
        env.valkey.start()
        env.valkey.ask("CLUSTER", "MEET", "127.0.0.1", str(self.node.port), self._bus_port)
        wait_for_reply(env, "cluster_state:ok", "CLUSTER", "INFO")

    def stop(self, env: Environment) -> None:
        """Restart Redis as a server of its own, and stop the other node."""
        assert self.node
        env.valkey.stop()
        for name in self._settings():
            del env.valkey.settings[name]
        env.valkey.start()
        self.node.stop()

    @property
    def _bus_port(self) -> str:
        assert self.node
        return self.node.settings["cluster-port"]

    @staticmethod
    def _settings() -> dict[str, str]:
        return {
            "cluster-enabled": "yes",
            "cluster-announce-ip": "127.0.0.1",
            "cluster-config-file": "peers.conf",
            "appendonly": "no",
            "dbfilename": "peers.rdb",
            "cluster-port": str(free_port()),
        }


def wait_for_reply(env: Environment, text: str, *command: str) -> None:
    """Wait until the reply to a command contains a text. Raises TimeoutError."""
    deadline = time.monotonic() + SAVE_TIMEOUT
    while text not in env.valkey.ask(*command):
        if time.monotonic() > deadline:
            raise TimeoutError(f"Redis did not reply {text}.")
        time.sleep(0.02)


def fail_to_save_snapshots(env: Environment) -> None:
    """Make a snapshot fail: a folder has the name of its file. Redis then rejects writes."""
    (env.valkey.folder / SNAPSHOT).unlink(missing_ok=True)
    (env.valkey.folder / SNAPSHOT).mkdir()
    env.valkey.ask("CONFIG", "SET", "save", "3600 1000000")
    env.valkey.ask("BGSAVE")
    wait_for_reply(env, "rdb_last_bgsave_status:err", "INFO", "persistence")


def save_snapshots(env: Environment) -> None:
    """Let snapshots succeed again."""
    (env.valkey.folder / SNAPSHOT).rmdir()
    env.valkey.ask("BGSAVE")
    wait_for_reply(env, "rdb_last_bgsave_status:ok", "INFO", "persistence")
    env.valkey.ask("CONFIG", "SET", "save", "")


def follow_without_stale_reads(env: Environment) -> None:
    """Make Redis a replica that lost its primary and rejects reads."""
    env.valkey.ask("CONFIG", "SET", "replica-serve-stale-data", "no")
    env.valkey.ask("REPLICAOF", "127.0.0.1", "1")


def lead_again(env: Environment) -> None:
    """Make Redis a primary again."""
    env.valkey.ask("REPLICAOF", "NO", "ONE")
    env.valkey.ask("CONFIG", "SET", "replica-serve-stale-data", "yes")


def evict_keys(env: Environment) -> None:
    """Leave Redis so little memory that it evicts a key for each new one."""
    used = int(env.valkey.info("memory")["used_memory"])
    env.valkey.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    env.valkey.ask("CONFIG", "SET", "maxmemory", str(used))


def stop_evicting(env: Environment) -> None:
    """Set no limit of memory."""
    env.valkey.ask("CONFIG", "SET", "maxmemory", "0")
    env.valkey.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")


def store_garbage(env: Environment) -> None:
    """Replace each cached item by a value of another type, and by one that is not an item."""
    keys = env.valkey.ask("EVAL", "return table.concat(redis.call('KEYS', '*:item:*'), ' ')", "0")
    for number, key in enumerate(keys.split()):
        env.valkey.ask("DEL", key)
        env.valkey.ask(*(("LPUSH", key, "x") if number % 2 else ("SET", key, "not an item")))


def deny(*commands: str) -> Action:
    """Return an action that takes commands from the service's user, and disconnects it."""

    def act(env: Environment) -> None:
        env.valkey.ask("ACL", "SETUSER", "default", *(f"-{command}" for command in commands))
        env.valkey.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    return act


def stop_all_sentinels(env: Environment) -> None:
    """Stop all sentinels. The primary still works."""
    for sentinel in env.sentinels.sentinels:
        sentinel.stop()


def start_all_sentinels(env: Environment) -> None:
    """Start the stopped sentinels."""
    for sentinel in env.sentinels.sentinels:
        sentinel.start()


def replica(env: Environment) -> Valkey:
    """Return the server that the service uses in the layout `replica`."""
    assert env.replica is not None
    return env.replica


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


NEIGHBORS = IdleClients(40)
PEER = ClusterPeer()

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
    ),
    Fault(
        "Redis pauses writes",
        send_command("CLIENT", "PAUSE", "60000", "WRITE"),
        send_command("CLIENT", "UNPAUSE"),
        ready_code=WARN,
        failure="redis: TimeoutError",
    ),
    Fault(
        "Redis pauses all commands for 0.3 s (still ready)",
        send_command("CLIENT", "PAUSE", "300", "ALL"),
        ready_code=OK,
        max_failures=0,
        hold=3,
    ),
    Fault(
        "Redis executes a script that never ends",
        run_endless_script,
        send_command("SCRIPT", "KILL"),
        ready_code=WARN,
        failure="redis: ",
    ),
    Fault(
        "Redis user may not SET",
        deny("set"),
        send_command("ACL", "SETUSER", "default", "+@all"),
        ready_code=WARN,
        failure="redis: NoPermissionError",
    ),
    Fault(
        "Redis user may not GET",
        deny("get"),
        send_command("ACL", "SETUSER", "default", "+@all"),
        ready_code=OK,
        max_failures=0,
        hold=DETECTION,
    ),
    Fault(
        "Redis user lacks every dangerous command, INFO among them (still ready)",
        send_command("ACL", "SETUSER", "default", "-@dangerous", "+acl|setuser"),
        send_command("ACL", "SETUSER", "default", "+@all"),
        ready_code=OK,
        max_failures=0,
        hold=DETECTION,
    ),
    Fault(
        "Redis user may only use other keys",
        send_command("ACL", "SETUSER", "default", "resetkeys", "~other:*"),
        send_command("ACL", "SETUSER", "default", "allkeys"),
        ready_code=WARN,
        failure="redis: NoPermissionError",
        detect_within=PERMANENT_DETECTION,
    ),
    Fault(
        "Redis cannot save a snapshot, and rejects writes",
        fail_to_save_snapshots,
        save_snapshots,
        ready_code=WARN,
        failure="redis: SnapshotFailed",
    ),
    Fault(
        "Redis accepts no more clients",
        NEIGHBORS.connect,
        NEIGHBORS.disconnect,
        ready_code=WARN,
        failure="redis: ",
    ),
    Fault(
        "Redis is a cluster node without slots",
        restart_as_cluster,
        restart_alone,
        ready_code=WARN,
        failure="redis: ",
    ),
    Fault(
        "Redis is a cluster node whose keys another node serves",
        PEER.start,
        PEER.stop,
        ready_code=WARN,
        failure="redis: MovedError",
    ),
    Fault(
        "Redis is a replica that rejects reads without its primary",
        follow_without_stale_reads,
        lead_again,
        ready_code=WARN,
        failure="redis: ",
    ),
    Fault(
        "Redis evicts keys (still ready)",
        evict_keys,
        stop_evicting,
        ready_code=OK,
        max_failures=0,
        hold=3,
    ),
    Fault(
        "Redis holds other values under the keys of the cache (still ready)",
        store_garbage,
        send_command("FLUSHALL"),
        ready_code=OK,
        max_failures=0,
        hold=3,
    ),
    Fault(
        "Redis disconnects all clients once (still ready)",
        send_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"),
        ready_code=OK,
        max_failures=0,
        hold=3,
    ),
    Fault(
        "Redis loses all data (still ready)",
        send_command("FLUSHALL"),
        ready_code=OK,
        max_failures=0,
        hold=3,
    ),
]

REPLICA = [
    Fault(
        "Replica is stopped",
        lambda env: replica(env).stop(),
        lambda env: replica(env).start(),
        ready_code=WARN,
        failure="redis: ConnectionError",
    ),
    Fault(
        "Replica is frozen",
        lambda env: replica(env).pause(),
        lambda env: replica(env).resume(),
        ready_code=WARN,
        failure="redis: TimeoutError",
    ),
    Fault(
        "Replica does not let its user run INFO",
        lambda env: replica(env).ask("ACL", "SETUSER", "default", "-info"),
        lambda env: replica(env).ask("ACL", "SETUSER", "default", "+info"),
        ready_code=WARN,
        failure="redis: InfoDenied",
        detect_within=PERMANENT_DETECTION,
    ),
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
        "All sentinels are stopped",
        stop_all_sentinels,
        start_all_sentinels,
        ready_code=WARN,
        failure="redis.sentinel: ",
    ),
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
