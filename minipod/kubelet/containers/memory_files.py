"""What the memory controller is told of one container: limit, swap, protection and throttling. Pure arithmetic.

KEP-2570 (memory QoS) and KEP-2400 (swap) of https://github.com/kubernetes/enhancements have the formulas.
"""

from __future__ import annotations

from fractions import Fraction

from minipod.kubelet.containers.limit_policy import LimitPolicy

PAGE = 4096


def memory_files(
    *, request: int, limit: int, swap: bool, capacity: int, policy: LimitPolicy
) -> dict[str, str]:
    """cgroup file -> value. Bytes; 0: not asked for. `swap`: whether this pod may swap at all; `capacity`: the host's.

    memory.oom.group is set without a limit too: the limit that is hit may be the pod's or that of all pods.
    """
    files = {"memory.oom.group": "0" if policy.single_process_oom_kill else "1"}
    if limit:
        files["memory.max"] = str(limit)
    if policy.swap_counted:
        allowed = swap and policy.limited_swap and 0 < request != limit
        files["memory.swap.max"] = str(swap_share(request, capacity, policy.swap_capacity) if allowed else 0)
    if policy.memory_qos:
        files |= _quality(request, limit, policy.allocatable_memory or capacity, policy)
    return files


def swap_share(request: int, memory_capacity: int, swap_capacity: int) -> int:
    """The part of the node's swap that goes with this part of its memory (KEP-2400), in bytes."""
    return request * swap_capacity // max(memory_capacity, 1)


def throttled_above(request: int, limit: int, factor: float) -> int:
    """memory.high: the request and `factor` of the room up to `limit`, in whole pages."""
    high = request + Fraction(str(factor)) * (limit - request)
    return int(high // PAGE) * PAGE


def _quality(request: int, limit: int, allocatable: int, policy: LimitPolicy) -> dict[str, str]:
    files = {"memory.min": str(request)} if request else {}
    if request != limit:
        high = throttled_above(request, limit or allocatable, policy.memory_throttling_factor)
        if high > request:
            files["memory.high"] = str(high)
    return files
