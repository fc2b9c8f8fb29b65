"""The part of OpenAPI v3 that kubectl asks before it sends an object: which operations take fieldValidation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minipod.api.scheme import Resource

_PARAMETERS = [
    {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
    for name in ("dryRun", "fieldManager", "fieldValidation")
]


def index(api_versions: Iterable[str]) -> dict[str, Any]:
    """/openapi/v3: where each version's document is."""
    paths = {
        prefix(version): {"serverRelativeURL": f"/openapi/v3/{prefix(version)}"} for version in api_versions
    }
    return {"paths": paths}


def document(resources: Iterable[Resource]) -> dict[str, Any]:
    """The operations on the resources of one version."""
    paths: dict[str, Any] = {}
    for resource in resources:
        base = f"/{prefix(resource.api_version)}/"
        base += f"namespaces/{{namespace}}/{resource.plural}" if resource.namespaced else resource.plural
        paths[base] = {"post": _operation(resource, "post")}
        paths[base + "/{name}"] = {verb: _operation(resource, verb) for verb in ("put", "patch")}
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1"}, "paths": paths}


def prefix(api_version: str) -> str:
    """ "v1" -> "api/v1", "apps/v1" -> "apis/apps/v1"."""
    return f"{'apis' if '/' in api_version else 'api'}/{api_version}"


def _operation(resource: Resource, verb: str) -> dict[str, Any]:
    return {
        "operationId": f"{verb}{resource.kind}",
        "parameters": _PARAMETERS,
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": verb,
        "x-kubernetes-group-version-kind": {
            "group": resource.group,
            "version": resource.version,
            "kind": resource.kind,
        },
    }
