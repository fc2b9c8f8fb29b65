"""Whole objects as text: -o json, yaml, name, jsonpath, custom-columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from minipod.cli.errors import CommandError

FORMATS = "json|yaml|name|jsonpath=TEMPLATE|jsonpath-file=FILE|custom-columns=SPEC|custom-columns-file=FILE"

Render = Callable[[Any], str]
"""Text of one object, or of one List; it ends in a newline unless the user's template decides."""


def renderer(output: str, *, headers: bool = True, managed_fields: bool = False) -> Render:
    """What prints objects in this format. Raises CommandError when there is no such format."""
    name, _, argument = output.partition("=")
    strip = _same if managed_fields else _without_managed_fields
    match name:
        case "json":
            return lambda obj: json_text(strip(obj))
        case "yaml":
            return lambda obj: _yaml(strip(obj))
        case "name":
            return lambda obj: "".join(f"{object_label(item)}\n" for item in items_of(obj))
        case "jsonpath" | "jsonpath-file" | "jsonpath-as-json":
            return _jsonpath(name, argument, strip)
        case "custom-columns" | "custom-columns-file":
            return _columns(name, argument, headers=headers)
    raise CommandError(f'unknown output format "{output}"; there are {FORMATS}')


def items_of(obj: Any) -> list[Any]:
    """The objects in a List, or the object itself."""
    return list(obj["items"]) if "items" in obj else [obj]


def as_list(objects: Sequence[Any]) -> dict[str, Any]:
    """Several objects as kubectl wraps them."""
    return {"apiVersion": "v1", "items": list(objects), "kind": "List", "metadata": {"resourceVersion": ""}}


def object_label(obj: Any) -> str:
    """pod/web, deployment.apps/web."""
    group = obj.get("apiVersion", "v1").rpartition("/")[0]
    return f"{obj['kind'].lower()}{'.' + group if group else ''}/{obj['metadata']['name']}"


def json_text(obj: Any) -> str:
    return json.dumps(obj, indent=4, sort_keys=True, ensure_ascii=False) + "\n"


def _yaml(obj: Any) -> str:
    from minipod.cli.output.yaml_text import yaml_text

    return yaml_text(obj)


def _jsonpath(name: str, argument: str, strip: Callable[[Any], Any]) -> Render:
    from minipod.cli import jsonpath

    if not argument:
        raise CommandError(f"{name} needs a template: -o {name}='{{.metadata.name}}'")
    text = Path(argument).read_text() if name == "jsonpath-file" else argument
    template = jsonpath.parse(text)
    if name == "jsonpath-as-json":
        return lambda obj: json_text(jsonpath.find(template, strip(obj)))
    return lambda obj: jsonpath.render(template, strip(obj))


def _columns(name: str, argument: str, *, headers: bool) -> Render:
    from minipod.cli.output import columns

    if name == "custom-columns-file":
        parsed = columns.read_columns(Path(argument).read_text())
    else:
        parsed = columns.parse_columns(argument)
    return lambda obj: columns.render_columns(parsed, items_of(obj), headers=headers)


def _same(obj: Any) -> Any:
    return obj


def _without_managed_fields(obj: Any) -> Any:
    if "items" in obj:
        return {**obj, "items": [_without_managed_fields(item) for item in obj["items"]]}
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict) or "managedFields" not in metadata:
        return obj
    return {**obj, "metadata": {k: v for k, v in metadata.items() if k != "managedFields"}}
