"""From the configuration's keys of limits and what the machine has of swap to the policy for all pods' limits."""

from __future__ import annotations

from pathlib import Path

from minipod.api.pod_resources import MEMORY
from minipod.kubelet.containers.limit_policy import LimitPolicy
from minipod.kubelet.node_resources import pods_limit
from minipod.kubelet.settings import NodeSettings
from minipod.linux import machine
from minipod.linux.cgroup2 import memory

LIMITED_SWAP = "LimitedSwap"
ENFORCE_PODS = "pods"


def limit_policy(
    settings: NodeSettings,
    *,
    single_process_oom_kill: bool,
    memory_qos: bool,
    memory_throttling_factor: float,
    swap_behavior: str,
    enforce_node_allocatable: tuple[str, ...],
) -> LimitPolicy:
    """The values of the keys of these names. Reads /proc and looks at the cgroups that are there."""
    return LimitPolicy(
        single_process_oom_kill=single_process_oom_kill,
        memory_qos=memory_qos,
        memory_throttling_factor=memory_throttling_factor,
        limited_swap=swap_behavior == LIMITED_SWAP,
        swap_capacity=machine.meminfo(Path("/proc/meminfo").read_text()).get("SwapTotal", 0),
        swap_counted=memory.swap_counted(settings.cgroup_root) is not False,
        allocatable_memory=int(pods_limit(settings)[MEMORY]),
        enforce_allocatable=ENFORCE_PODS in enforce_node_allocatable,
    )
