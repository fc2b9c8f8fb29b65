"""What may change through the subresources of a pod: ephemeral containers are added, cpu and memory resized.

The strategy of the registry has put the old values wherever a subresource has no say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from minipod.api import codec, pod_resources
from minipod.api.core_v1 import Container, Pod, ResourceRequirements
from minipod.api.field_errors import FieldError, forbidden, invalid
from minipod.api.validation import pod

_RESIZABLE = (pod_resources.CPU, pod_resources.MEMORY)


def ephemeral_containers_update(new: Pod, old: Pod) -> Iterator[FieldError]:
    """Existing ones stay as they are: a patch need not keep their order."""
    yield from pod.pod_as_a_whole(new)
    if pod.MIRROR_ANNOTATION in old.metadata.annotations:
        yield forbidden("", "static pods do not support ephemeral containers")
    path = "spec.ephemeralContainers"
    by_name = {container.name: container for container in new.spec.ephemeralContainers}
    for before in old.spec.ephemeralContainers:
        now = by_name.get(before.name)
        if now is None:
            yield forbidden(path, f'existing ephemeral containers "{before.name}" may not be removed')
        elif now != before:
            yield forbidden(path, f'existing ephemeral containers "{before.name}" may not be changed')


def resize(new: Pod, old: Pod) -> Iterator[FieldError]:
    yield from pod.pod_as_a_whole(new)
    if pod.MIRROR_ANNOTATION in old.metadata.annotations:
        yield forbidden("", "static pods cannot be resized")
        return
    if old.spec.os is not None and old.spec.os.name == "windows":
        yield forbidden("", "windows pods cannot be resized")
        return
    before = old.status.qosClass or pod_resources.qos_class(old)
    if pod_resources.qos_class(new) != before:
        yield invalid("spec", before, "Pod QOS Class may not change as a result of resizing")
    yield from _pod_level(new.spec.resources, old.spec.resources)
    for field in ("initContainers", "containers"):
        yield from _containers(getattr(new.spec, field), getattr(old.spec, field), f"spec.{field}")


def _pod_level(new: ResourceRequirements | None, old: ResourceRequirements | None) -> Iterator[FieldError]:
    if old is not None and new is None:
        yield forbidden("spec.resources", "pod-level resources cannot be removed")
        return
    yield from _nothing_removed(new, old, "spec.resources", "pod-level resource")
    if _fixed(new) != _fixed(old):
        yield forbidden("spec", "only cpu and memory resources are mutable at pod-level")


def _containers(new: Sequence[Container], old: Sequence[Container], path: str) -> Iterator[FieldError]:
    """`new` are the containers of `old`, in its order, with other resources and resize policies."""
    for index, (container, before) in enumerate(zip(new, old, strict=True)):
        inner = f"{path}[{index}]"
        yield from _nothing_removed(container.resources, before.resources, f"{inner}.resources", "resource")
        if not _only_cpu_and_memory(container, before):
            yield forbidden("spec", f"only cpu and memory resources are mutable: {inner} changes more")
        runs_on = path == "spec.containers" or pod_resources.is_sidecar(container)
        restarts = any(policy.restartPolicy == "RestartContainer" for policy in container.resizePolicy)
        if not runs_on and restarts and container.resources != before.resources:
            why = "non-sidecar init containers with a resize policy of RestartContainer cannot be resized"
            yield forbidden(inner, why)


def _nothing_removed(
    new: ResourceRequirements | None, old: ResourceRequirements | None, path: str, what: str
) -> Iterator[FieldError]:
    for which in ("requests", "limits"):
        kept = getattr(new, which) if new is not None else {}
        if old is not None and not getattr(old, which).keys() <= kept.keys():
            yield forbidden(f"{path}.{which}", f"{what} {which} cannot be removed")


def _only_cpu_and_memory(new: Container, old: Container) -> bool:
    munged, before = codec.copy(new), codec.copy(old)
    munged.resources, before.resources = _fixed(new.resources), _fixed(old.resources)
    return bool(munged == before)


def _fixed(resources: ResourceRequirements | None) -> ResourceRequirements:
    """What a resize cannot change."""
    own = resources or ResourceRequirements()
    return ResourceRequirements(
        claims=own.claims,
        limits={name: text for name, text in own.limits.items() if name not in _RESIZABLE},
        requests={name: text for name, text in own.requests.items() if name not in _RESIZABLE},
    )
