"""What the node's configuration says about the limits of all pods, beside what each pod asks for itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitPolicy:
    """KubeletConfiguration's keys of limits. Memory and swap in bytes."""

    single_process_oom_kill: bool = False
    """Out of memory ends one process of a container; else the container as a whole (memory.oom.group)."""
    memory_qos: bool = False
    """memory.min and memory.high from requests and limits (KEP-2570)."""
    memory_throttling_factor: float = 0.9
    limited_swap: bool = False
    """Burstable pods get a share of the node's swap (KEP-2400 LimitedSwap); else no pod gets any (NoSwap)."""
    swap_capacity: int = 0
    """What the host has; 0 also where the kernel does not count swap per cgroup."""
    swap_counted: bool = True
    """Whether groups have memory.swap.max; not with the kernel parameter swapaccount=0."""
    allocatable_memory: int = 0
    """Capacity less what is reserved; 0: all of it."""
    enforce_allocatable: bool = True
    """All pods together are held to capacity less what is reserved (enforceNodeAllocatable=pods)."""
