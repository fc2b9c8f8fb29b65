"""What this node has, and how much of it pods may ask for.

    allocatable = capacity - systemReserved - kubeReserved - hard eviction thresholds

https://kubernetes.io/docs/tasks/administer-cluster/reserve-compute-resources/
"""

from __future__ import annotations

from fractions import Fraction

from minipod.api import pod_resources, quantity
from minipod.api.pod_resources import CPU, HUGE_PAGES, MEMORY, Amounts
from minipod.api.resource_fit import EPHEMERAL_STORAGE, PODS
from minipod.kubelet.eviction.types import Signal
from minipod.kubelet.settings import NodeSettings

_EVICTED_FOR = {MEMORY: Signal.MEMORY_AVAILABLE, EPHEMERAL_STORAGE: Signal.NODEFS_AVAILABLE}
"""Resources of which a hard eviction threshold keeps a part from the pods."""


def capacity(settings: NodeSettings) -> Amounts:
    """Cores, bytes and pieces by resource name."""
    host = settings.host
    amounts = {
        CPU: Fraction(host.cpu_capacity_millis, 1000),
        MEMORY: Fraction(host.memory_capacity),
        PODS: Fraction(settings.max_pods),
    }
    if host.ephemeral_storage:
        amounts[EPHEMERAL_STORAGE] = Fraction(host.ephemeral_storage)
    for size, total in host.hugepages.items():
        amounts[HUGE_PAGES + size] = Fraction(total)
    return amounts


def allocatable(settings: NodeSettings) -> Amounts:
    """What the scheduler may give away. Huge pages are memory that nothing else can have."""
    left = _less(settings, pod_resources.total((_reserved(settings), _eviction_reserve(settings))))
    pages = sum((amount for name, amount in left.items() if name.startswith(HUGE_PAGES)), Fraction(0))
    left[MEMORY] = max(left[MEMORY] - pages, Fraction(0))
    return left


def pods_limit(settings: NodeSettings) -> Amounts:
    """What all pods together may use, to be enforced by the cgroup they are in: what is reserved is not theirs.

    The kubelet, too, leaves the eviction threshold out here: else no pod could come near it.
    """
    return _less(settings, _reserved(settings))


def texts(amounts: Amounts) -> dict[str, str]:
    """As the Node shows them: memory and disk in Ki, as the kubelet."""
    return {name: _text(name, amount) for name, amount in amounts.items()}


def _less(settings: NodeSettings, kept: Amounts) -> Amounts:
    zero = Fraction(0)
    return {name: max(whole - kept.get(name, zero), zero) for name, whole in capacity(settings).items()}


def _reserved(settings: NodeSettings) -> Amounts:
    return pod_resources.total(
        (pod_resources.amounts(settings.system_reserved), pod_resources.amounts(settings.kube_reserved))
    )


def _eviction_reserve(settings: NodeSettings) -> Amounts:
    whole = capacity(settings)
    return {
        name: Fraction(threshold.value.of(int(whole[name])))
        for threshold in settings.eviction.thresholds
        for name, signal in _EVICTED_FOR.items()
        if threshold.hard and threshold.signal is signal and name in whole
    }


def _text(name: str, amount: Fraction) -> str:
    if name == CPU:
        return quantity.format_decimal(amount)
    if name in (MEMORY, EPHEMERAL_STORAGE):
        return f"{int(amount) // 1024}Ki"
    return quantity.format_binary(amount) if name.startswith(HUGE_PAGES) else str(int(amount))
