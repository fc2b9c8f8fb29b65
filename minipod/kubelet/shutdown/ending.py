"""Ending all pods of a node, group after group, within the time that each group has."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from minipod.kubelet.pods.pod_worker import PodWorker
from minipod.kubelet.shutdown.order import Group, in_groups

log = logging.getLogger(__name__)


async def end_in_order(workers: Mapping[str, PodWorker], groups: Sequence[Group]) -> None:
    """Every pod gets its own grace period, but no more than its group has; a group without pods takes no time."""
    there = dict(workers)  # pods may be deleted meanwhile
    for group, members in in_groups([worker.pod for worker in there.values()], groups):
        ends = {
            asyncio.create_task(there[pod.metadata.uid or ""].shut_down(group.seconds)) for pod in members
        }
        _, late = await asyncio.wait(ends, timeout=group.seconds)
        for task in late:
            task.cancel()
        if late:
            log.warning(
                "%d pods from priority %d have not ended within %g s",
                len(late),
                group.priority,
                group.seconds,
            )
