"""How one resource differs from another: the hooks of its life in the registry, with what holds for most.

Adding a kind is adding a Strategy, and for most kinds an instance of this class is all it takes.
"""

from __future__ import annotations

from typing import Any, ClassVar

from minipod.api import errors, support
from minipod.api.field_errors import FieldError
from minipod.api.scheme import Resource
from minipod.api.validation import validate, validate_update
from minipod.apiserver.registry import deletion
from minipod.apiserver.registry.options import DeleteOptions
from minipod.storage.interface import Decision


class Strategy:
    """The rules of one resource. Objects given as `new` may be changed in place, `old` ones never."""

    durable: ClassVar[bool] = True
    """Whether a write must survive a power cut (see storage.interface.Put)."""
    counts_generations: ClassVar[bool] = False
    """Whether metadata.generation is kept."""
    returns_deleted: ClassVar[bool] = False
    """Whether the answer to a deletion that is complete is the object, not a Status."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource

    def prepare_create(self, new: Any) -> None:
        """Set what a client has no say in; defaults are set already."""

    def prepare_update(self, new: Any, old: Any) -> None:
        """Keep what an update of the object itself cannot change: its status, where that is a subresource."""
        if self.resource.has_status:
            new.status = old.status

    def prepare_status_update(self, new: Any, old: Any) -> None:
        """Keep everything but the status."""
        new.metadata = old.metadata
        if hasattr(old, "spec"):
            new.spec = old.spec

    def prepare_subresource_update(self, subresource: str, new: Any, old: Any) -> None:  # noqa: ARG002
        """Keep everything but what a subresource other than status may change. Raises StatusError."""
        raise errors.no_such_resource()

    def validate_subresource_update(self, subresource: str, new: Any, old: Any) -> list[FieldError]:  # noqa: ARG002
        return []

    def validate(self, new: Any) -> list[FieldError]:
        return validate(new)

    def validate_update(self, new: Any, old: Any) -> list[FieldError]:
        return [*validate(new), *validate_update(new, old)]

    def warnings(self, new: Any) -> list[str]:
        """What the user should know although it is no error."""
        return support.unimplemented(new)

    def warnings_as_written(self, new: Any) -> list[str]:
        """The same of a new object before defaults are set: what a default says too is the user's word only here."""
        return support.unheeded_pull_policies(new)

    def check_deletion(self, obj: Any) -> None:
        """Raises StatusError 403 for an object that must stay."""

    def plan_deletion(self, obj: Any, options: DeleteOptions) -> Decision:
        """At once, or as soon as the finalizers are gone."""
        return deletion.plan(obj, 0, requested=True, now_us=options.requested_at)

    def is_over(self, obj: Any) -> bool:
        """Whether an object that is being deleted may go now."""
        return deletion.is_over(obj)
