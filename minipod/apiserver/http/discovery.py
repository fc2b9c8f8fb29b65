"""Discovery: which groups, versions and resources there are, and what may be done with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minipod.api.scheme import Resource

SUBRESOURCES: Mapping[str, Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "pods": {
        "attach": ("PodAttachOptions", ("create", "get")),
        "binding": ("Binding", ("create",)),
        "ephemeralcontainers": ("Pod", ("get", "patch", "update")),
        "exec": ("PodExecOptions", ("create", "get")),
        "log": ("Pod", ("get",)),
        "resize": ("Pod", ("get", "patch", "update")),
    },
    "nodes": {"proxy": ("NodeProxyOptions", ("create", "delete", "get", "patch", "update"))},
}
"""Resource -> subresource -> (kind, verbs), besides /status."""


def api_versions() -> dict[str, Any]:
    """/api: the versions of the core group."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def group_list(resources: Iterable[Resource]) -> dict[str, Any]:
    """/apis: all other groups."""
    found: dict[str, list[str]] = {}
    for resource in resources:
        if resource.group and resource.version not in found.setdefault(resource.group, []):
            found[resource.group].append(resource.version)
    groups = [group(name, versions) for name, versions in found.items()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(name: str, versions: Iterable[str]) -> dict[str, Any]:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def resource_list(api_version: str, resources: Iterable[Resource]) -> dict[str, Any]:
    """/api/v1 or /apis/GROUP/VERSION."""
    entries = [entry for resource in resources for entry in _entries(resource)]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": api_version,
        "resources": sorted(entries, key=lambda entry: str(entry["name"])),
    }


def _entries(resource: Resource) -> Iterable[dict[str, Any]]:
    own: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": sorted(resource.verbs),
    }
    if resource.short_names:
        own["shortNames"] = list(resource.short_names)
    if resource.categories:
        own["categories"] = list(resource.categories)
    yield own
    below = dict(SUBRESOURCES.get(resource.group_resource, {}))
    if resource.has_status:
        below["status"] = (resource.kind, ("get", "patch", "update"))
    for name, (kind, verbs) in below.items():
        yield {
            "name": f"{resource.plural}/{name}",
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": kind,
            "verbs": list(verbs),
        }
