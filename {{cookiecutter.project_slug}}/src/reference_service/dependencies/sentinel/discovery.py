"""The address of the primary, as the majority of the sentinels reports it."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from redis.asyncio.sentinel import MasterNotFoundError

from .nodes import Node
from .settings import Address


async def find_primary(nodes: Sequence[Node], master: str) -> Address:
    """Ask all sentinels at once and return the majority's answer as soon as it is certain.

    So a frozen sentinel delays no client, and an isolated one misleads no client.
    Raises MasterNotFoundError if no sentinel knows the primary.
    """
    tasks = [asyncio.create_task(node.fetch_primary(master)) for node in nodes]
    votes: Counter[Address] = Counter()
    try:
        for task in asyncio.as_completed(tasks):
            primary = await task
            if isinstance(primary, tuple):
                votes[primary] += 1
                if 2 * votes[primary] > len(nodes):
                    return primary
    finally:
        for pending in tasks:
            pending.cancel()
    if not votes:
        raise MasterNotFoundError("no sentinel knows the primary")
    [(primary, _)] = votes.most_common(1)
    return primary
