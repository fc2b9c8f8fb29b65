"""What a request may ask for besides the object itself."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from minipod.api import errors, fields, labels
from minipod.api.scheme import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """`dry_run`: everything but the storing. `warnings` collects what the user should be told."""

    dry_run: bool = False
    warnings: list[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteOptions:
    """`grace_period_seconds`: None leaves it to the object; uid and resource_version are preconditions.

    `requested_at`: microseconds since the epoch.
    """

    grace_period_seconds: int | None = None
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False
    requested_at: int = field(default_factory=lambda: time.time_ns() // 1000)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a resource: in one namespace or all (""), with these labels and these fields."""

    namespace: str = ""
    labels: labels.Selector = field(default=labels.EVERYTHING)
    fields: fields.Selector = field(default=fields.EVERYTHING)

    def matches(self, obj: Any) -> bool:
        if self.namespace and obj.metadata.namespace != self.namespace:
            return False
        return self.matches_selectors(obj)

    def matches_selectors(self, obj: Any) -> bool:
        """For objects of the namespace."""
        if self.labels.requirements and not self.labels.matches(obj.metadata.labels):
            return False
        return not self.fields.requirements or self.fields.matches(obj)

    @property
    def selects(self) -> bool:
        """Whether there is a selector at all."""
        return bool(self.labels.requirements or self.fields.requirements)


def selection(
    resource: Resource, namespace: str = "", label_selector: str = "", field_selector: str = ""
) -> Selection:
    """From the query's texts. Raises StatusError 400 for a selector that cannot be read."""
    try:
        return Selection(
            namespace,
            labels.parse(label_selector) if label_selector else labels.EVERYTHING,
            fields.parse(field_selector, resource) if field_selector else fields.EVERYTHING,
        )
    except ValueError as error:
        raise errors.bad_request(str(error)) from None


def parse_version(text: str) -> int:
    """A resourceVersion as clients send it; "" counts as 0. Raises StatusError 400."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise errors.bad_request(
            f"invalid resource version {text!r}: expected a number that the server gave out"
        )
    return int(text)
