"""Namespaces: deleting one first empties it; what is in it keeps it, and nothing new may come."""

from __future__ import annotations

from msgspec.structs import replace

from minipod.api import core_v1, errors
from minipod.api.scheme import NAMESPACES
from minipod.apiserver.registry import deletion
from minipod.apiserver.registry.options import DeleteOptions
from minipod.apiserver.registry.strategy import Strategy
from minipod.storage.interface import Decision, Keep, Put, Remove

FINALIZER = "kubernetes"
"""In spec.finalizers while the namespace may still hold something."""
SYSTEM_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
"""Made at the first start, and there for good."""
TERMINATING = "Terminating"


class NamespaceStrategy(Strategy):
    def __init__(self) -> None:
        super().__init__(NAMESPACES)

    def prepare_create(self, new: core_v1.Namespace) -> None:
        new.status = core_v1.NamespaceStatus(phase="Active")
        if FINALIZER not in new.spec.finalizers:
            new.spec.finalizers = [*new.spec.finalizers, FINALIZER]

    def prepare_update(self, new: core_v1.Namespace, old: core_v1.Namespace) -> None:
        super().prepare_update(new, old)
        new.spec = old.spec  # finalizers are all there is in it, and /finalize is their place

    def check_deletion(self, obj: core_v1.Namespace) -> None:
        if obj.metadata.name in SYSTEM_NAMESPACES:
            raise errors.forbidden(
                self.resource, obj.metadata.name or "", "this namespace may not be deleted"
            )

    def plan_deletion(self, obj: core_v1.Namespace, options: DeleteOptions) -> Decision:
        if not (obj.spec.finalizers or obj.metadata.finalizers):
            return Remove()
        if obj.metadata.deletionTimestamp:
            return Keep()
        terminating = replace(obj, status=replace(obj.status, phase=TERMINATING))
        return Put(deletion.marked(terminating, 0, options.requested_at))

    def is_over(self, obj: core_v1.Namespace) -> bool:
        return deletion.is_over(obj) and not obj.spec.finalizers


def without_finalizer(namespace: core_v1.Namespace) -> core_v1.Namespace:
    """A copy that no longer waits for its content to go."""
    left = [name for name in namespace.spec.finalizers if name != FINALIZER]
    return replace(namespace, spec=replace(namespace.spec, finalizers=left))


def is_terminating(namespace: core_v1.Namespace) -> bool:
    return bool(namespace.metadata.deletionTimestamp)
