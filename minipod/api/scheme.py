"""Which resources exist, as data: what to call them, where they live, what may be done with them."""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from typing import Any

from minipod.api import core_v1

_ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Resource:
    """One served resource (`kubectl api-resources` prints these columns)."""

    group: str
    """"" is the core group."""
    version: str
    kind: str
    plural: str
    singular: str
    short_names: tuple[str, ...]
    categories: tuple[str, ...]
    namespaced: bool
    type: builtins.type[Any]
    """The msgspec type of one object."""
    list_type: builtins.type[Any]
    has_status: bool
    """Whether /status is a subresource of its own."""
    verbs: tuple[str, ...] = _ALL_VERBS

    @property
    def api_version(self) -> str:
        """As in an object's apiVersion: "v1", "apps/v1"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_resource(self) -> str:
        """As error messages name it: "pods", "deployments.apps"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def list_kind(self) -> str:
        return f"{self.kind}List"


PODS = Resource(
    group="",
    version="v1",
    kind="Pod",
    plural="pods",
    singular="pod",
    short_names=("po",),
    categories=("all",),
    namespaced=True,
    type=core_v1.Pod,
    list_type=core_v1.PodList,
    has_status=True,
)
EVENTS = Resource(
    group="",
    version="v1",
    kind="Event",
    plural="events",
    singular="event",
    short_names=("ev",),
    categories=(),
    namespaced=True,
    type=core_v1.Event,
    list_type=core_v1.EventList,
    has_status=False,
)
NODES = Resource(
    group="",
    version="v1",
    kind="Node",
    plural="nodes",
    singular="node",
    short_names=("no",),
    categories=(),
    namespaced=False,
    type=core_v1.Node,
    list_type=core_v1.NodeList,
    has_status=True,
)
NAMESPACES = Resource(
    group="",
    version="v1",
    kind="Namespace",
    plural="namespaces",
    singular="namespace",
    short_names=("ns",),
    categories=(),
    namespaced=False,
    type=core_v1.Namespace,
    list_type=core_v1.NamespaceList,
    has_status=True,
)

RESOURCES: tuple[Resource, ...] = (EVENTS, NAMESPACES, NODES, PODS)

_BY_KIND = {(resource.api_version, resource.kind): resource for resource in RESOURCES}
_BY_PATH = {(resource.group, resource.version, resource.plural): resource for resource in RESOURCES}
_BY_TYPE: dict[type[Any], Resource] = {resource.type: resource for resource in RESOURCES}


def by_kind(api_version: str, kind: str) -> Resource | None:
    """("v1", "Pod") -> PODS; None when no such kind is served."""
    return _BY_KIND.get((api_version, kind))


def by_path(group: str, version: str, plural: str) -> Resource | None:
    """The parts of a URL: ("", "v1", "pods") -> PODS; None when nothing is served there."""
    return _BY_PATH.get((group, version, plural))


def by_type(type_: type[Any]) -> Resource | None:
    """core_v1.Pod -> PODS; None for a type that is not a served kind."""
    return _BY_TYPE.get(type_)


def by_word(word: str) -> Resource | None:
    """What people type: "po", "pod", "pods", "Pod", "pods.v1."; None when nothing answers to it."""
    wanted = word.lower()
    for resource in RESOURCES:
        plain = (resource.plural, resource.singular, *resource.short_names)
        suffixes = (f".{resource.version}.{resource.group}", f".{resource.group}")
        if wanted in plain or any(wanted == name + suffix for name in plain for suffix in suffixes):
            return resource
    return None


def by_category(category: str) -> tuple[Resource, ...]:
    """The category "all" -> the resources `get all` shows."""
    return tuple(resource for resource in RESOURCES if category in resource.categories)
