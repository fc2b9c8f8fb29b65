#!/usr/bin/env python3
"""Make minipod/api's object types from Kubernetes' own OpenAPI data.

Two steps, so that the second needs no network and a test can repeat it:

    generate_types.py fetch     PyPI's newest kubernetes-validate -> minipod/api/schema/definitions.json
                                (only what ROOTS reach, without descriptions)
    generate_types.py render    definitions.json -> minipod/api/core_v1.py, meta_v1.py, ...
    generate_types.py           both

To serve another kind, add it to ROOTS and run the script again.
"""

from __future__ import annotations

import json
import keyword
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

API = Path(__file__).resolve().parent.parent / "minipod" / "api"
DATA = API / "schema" / "definitions.json"

CORE = "io.k8s.api.core.v1."
MACHINERY = "io.k8s.apimachinery.pkg."
META = f"{MACHINERY}apis.meta.v1."

ROOTS = (
    *(CORE + kind for kind in ("Pod", "PodList", "PodTemplate", "PodTemplateSpec", "Binding")),
    *(CORE + kind for kind in ("Node", "NodeList", "Namespace", "NamespaceList", "Event", "EventList")),
    *(CORE + kind for kind in ("ObjectReference", "LocalObjectReference", "TypedLocalObjectReference")),
    *(META + kind for kind in ("ObjectMeta", "ListMeta", "Status", "DeleteOptions", "WatchEvent")),
    *(META + kind for kind in ("LabelSelector", "OwnerReference", "Preconditions")),
    *(META + kind for kind in ("APIGroup", "APIGroupList", "APIResourceList", "APIVersions")),
)

# Definitions that are one JSON value: the name of the type alias that stands for each.
SCALARS = {
    MACHINERY + "api.resource.Quantity": "Quantity",
    MACHINERY + "util.intstr.IntOrString": "IntOrString",
    MACHINERY + "runtime.RawExtension": "RawExtension",
    META + "Time": "Time",
    META + "MicroTime": "MicroTime",
    META + "FieldsV1": "FieldsV1",
}

# What the published OpenAPI data leaves out because it is only content-negotiated (API reference, "Table").
_GVK = "x-kubernetes-group-version-kind"


def _kind(kind: str, **properties: Any) -> dict[str, Any]:
    head = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
    return {
        "properties": head | properties,
        _GVK: [{"group": "meta.k8s.io", "version": "v1", "kind": kind}],
    }


SUPPLEMENT: dict[str, Any] = {
    "meta.v1.Table": _kind(
        "Table",
        metadata={"$ref": "meta.v1.ListMeta"},
        columnDefinitions={"type": "array", "items": {"$ref": "meta.v1.TableColumnDefinition"}},
        rows={"type": "array", "items": {"$ref": "meta.v1.TableRow"}},
    )
    | {"required": ["columnDefinitions", "rows"]},
    "meta.v1.TableColumnDefinition": {
        "properties": {
            "name": {"type": "string"},
            "type": {"type": "string"},
            "format": {"type": "string"},
            "description": {"type": "string"},
            "priority": {"type": "integer", "format": "int32"},
        },
        "required": ["name", "type", "format", "description", "priority"],
    },
    "meta.v1.TableRow": {
        "properties": {
            "cells": {"type": "array", "items": {"$ref": "RawExtension"}},
            "conditions": {"type": "array", "items": {"$ref": "meta.v1.TableRowCondition"}},
            "object": {"$ref": "RawExtension"},
        },
        "required": ["cells"],
    },
    "meta.v1.TableRowCondition": {
        "properties": {
            "type": {"type": "string"},
            "status": {"type": "string"},
            "reason": {"type": "string"},
            "message": {"type": "string"},
        },
        "required": ["type", "status"],
    },
    "meta.v1.PartialObjectMetadata": _kind("PartialObjectMetadata", metadata={"$ref": "meta.v1.ObjectMeta"}),
    "meta.v1.PartialObjectMetadataList": _kind(
        "PartialObjectMetadataList",
        metadata={"$ref": "meta.v1.ListMeta"},
        items={"type": "array", "items": {"$ref": "meta.v1.PartialObjectMetadata"}},
    )
    | {"required": ["items"]},
}


# ---- fetch ----


def fetch() -> None:
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--dest",
                directory,
                "kubernetes-validate",
            ],
            check=True,
        )
        (wheel,) = Path(directory).glob("*.whl")
        version, source = _newest_definitions(wheel)
    reached = _reachable(source, ROOTS)
    definitions = {_short(name): _trim(source[name]) for name in reached if name not in SCALARS}
    definitions |= SUPPLEMENT
    write_data(version, definitions)


def _newest_definitions(wheel: Path) -> tuple[str, dict[str, Any]]:
    pattern = re.compile(r".*/v(\d+)\.(\d+)\.(\d+)-local-strict/_definitions\.json$")
    with zipfile.ZipFile(wheel) as archive:
        found = [match for name in archive.namelist() if (match := pattern.match(name))]
        newest = max(found, key=lambda match: tuple(int(part) for part in match.groups()))
        document = json.loads(archive.read(newest.group(0)))
    return "v" + ".".join(newest.groups()), document["$defs"]


def _reachable(source: dict[str, Any], roots: tuple[str, ...]) -> set[str]:
    seen: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(_references(source[name]))
    return seen


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref" and isinstance(value, str):
                yield value.rpartition("/")[2]
            else:
                yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _short(name: str) -> str:
    """io.k8s.api.core.v1.Pod -> core.v1.Pod; the one-value definitions become their alias."""
    name = name.rpartition("/")[2]
    return SCALARS.get(name) or name.replace(META, "meta.v1.").removeprefix("io.k8s.api.")


def _trim(schema: dict[str, Any]) -> dict[str, Any]:
    """A definition or property without prose, without the strict validator's null types and closings."""
    trimmed: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            trimmed[key] = {name: _trim(value[name]) for name in sorted(value)}
        elif key == "items" or (key == "additionalProperties" and value):
            trimmed[key] = _trim(value)
        elif key == "$ref":
            trimmed[key] = _short(value)
        elif key == "type":
            (trimmed[key],) = [
                name for name in ([value] if isinstance(value, str) else value) if name != "null"
            ]
        elif key == _GVK and len(value) > 1:
            trimmed[key] = [gvk for gvk in value if gvk["group"] == ""]
        elif key not in ("description", "additionalProperties"):
            trimmed[key] = value
    if "properties" in trimmed:
        del trimmed["type"]
    return trimmed


def write_data(version: str, definitions: dict[str, Any]) -> None:
    """One definition a line: small, and a diff between Kubernetes versions stays readable."""
    lines = [
        f"{json.dumps(name)}: {json.dumps(definitions[name], separators=(',', ':'))}"
        for name in sorted(definitions)
    ]
    text = f'{{"kubernetes": {json.dumps(version)},\n"definitions": {{\n' + ",\n".join(lines) + "\n}}\n"
    DATA.write_text(text)


# ---- render ----

HEADER = '''"""{title}

Generated by scripts/generate_types.py from schema/definitions.json (Kubernetes {version}): do not edit.
Every field of Kubernetes' schema is here under its JSON name. Absent optional values are None, absent lists and
maps are empty; what Kubernetes requires is always written out. JSON has no cycles, hence gc=False.
"""

'''

META_PRELUDE = """from functools import partial
from typing import Annotated, Any, TypeAlias

import msgspec

Int32: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Int64: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
# "100m", "1Gi": always text in memory, numbers in the input are turned into it (codec.py)
Quantity: TypeAlias = Annotated[str, "Quantity"]
IntOrString: TypeAlias = int | str
RawExtension: TypeAlias = Any
FieldsV1: TypeAlias = dict[str, Any]
_RFC3339 = (
    r"^(?!0000)\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])T([01]\\d|2[0-3]):[0-5]\\d:([0-5]\\d|60)"
    r"(\\.\\d+)?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)\\Z"
)
Time: TypeAlias = Annotated[str, msgspec.Meta(pattern=_RFC3339), "Time"]
MicroTime: TypeAlias = Annotated[str, msgspec.Meta(pattern=_RFC3339), "MicroTime"]
"""

TITLES = {"core_v1": "The object types of Kubernetes' core/v1.", "meta_v1": "The object types of meta/v1."}
JSON_SCALARS = {"string": "str", "boolean": "bool", "number": "float", "int32": "Int32", "int64": "Int64"}
ZERO_FACTORY = {
    "str": "str",
    "bool": "bool",
    "float": "float",
    "Int32": "int",
    "Int64": "int",
    "IntOrString": "int",
    "Quantity": 'partial(str, "0")',
}


def render() -> dict[str, str]:
    """Module name -> its Python text."""
    document = json.loads(DATA.read_text())
    definitions: dict[str, Any] = document["definitions"]
    modules: dict[str, list[str]] = {}
    for name in definitions:
        modules.setdefault(_module(name), []).append(name)
    return {
        module: _Module(module, definitions, names).text(document["kubernetes"])
        for module, names in sorted(modules.items())
    }


def _module(name: str) -> str:
    """core.v1.Pod -> core_v1"""
    return name.rpartition(".")[0].replace(".", "_")


class _Module:
    def __init__(self, module: str, definitions: dict[str, Any], names: list[str]) -> None:
        self.module = module
        self.definitions = definitions
        self.names = names
        self.imported: set[str] = set()

    def text(self, version: str) -> str:
        classes = [self._class(name) for name in self._ordered()]
        head = HEADER.format(
            title=TITLES.get(self.module, f"The object types of {self.module}."), version=version
        )
        if self.module == "meta_v1":
            return head + META_PRELUDE + "\n\n" + "\n\n".join(classes)
        aliases = sorted(name for name in self.imported if name[0].isupper())
        others = sorted(name for name in self.imported if name[0].islower())
        lines = ["from functools import partial\n\nimport msgspec\n\n"]
        lines += [f"from minipod.api import {', '.join(others)}\n"] if others else []
        lines += [f"from minipod.api.meta_v1 import {', '.join(aliases)}\n"] if aliases else []
        return head + "".join(lines) + "\n\n" + "\n\n".join(classes)

    def _ordered(self) -> list[str]:
        """Referred-to classes first: annotations stay real objects, which keeps the import fast."""
        done: dict[str, None] = {}

        def place(name: str) -> None:
            for reference in sorted(set(_references(self.definitions[name]))):
                if (
                    reference in self.definitions
                    and _module(reference) == self.module
                    and reference not in done
                ):
                    place(reference)
            done.setdefault(name)

        for name in sorted(self.names):
            place(name)
        return list(done)

    def _class(self, name: str) -> str:
        schema = self.definitions[name]
        title = name.rpartition(".")[2]
        options = "kw_only=True, omit_defaults=True, repr_omit_defaults=True, gc=False"
        lines = [f"class {title}(msgspec.Struct, {options}):"]
        properties: dict[str, Any] = schema.get("properties", {})
        for key in sorted(properties, key=lambda key: (key != "kind", key != "apiVersion", key)):
            constant = self._constant(schema, key)
            required = key in schema.get("required", ())
            lines.append("    " + self._field(key, properties[key], required=required, constant=constant))
        return "\n".join(lines if properties else [*lines, "    pass"]) + "\n"

    def _constant(self, schema: dict[str, Any], key: str) -> str:
        kinds = schema.get(_GVK)
        if not kinds or key not in ("kind", "apiVersion"):
            return ""
        group, version = kinds[0]["group"], kinds[0]["version"]
        return kinds[0]["kind"] if key == "kind" else f"{group}/{version}".removeprefix("/")

    def _field(self, key: str, schema: dict[str, Any], *, required: bool, constant: str) -> str:
        python = key + "_" if keyword.iskeyword(key) else key
        rename = f', name="{key}"' if python != key else ""
        type_ = self._type(schema)
        if constant:
            return f'{python}: str = msgspec.field(default_factory=partial(str, "{constant}"))'
        # omit_defaults leaves out an empty list only when its factory is `list` itself, and never what a factory
        # of another type made: so `[]` and zeroes of required fields are written, as Kubernetes does.
        if type_.startswith("list["):
            factory = "lambda: []" if required else "list"
        elif type_.startswith("dict[") or type_ == "FieldsV1":
            factory = "dict"
        elif required and type_ not in ("RawExtension", "Time", "MicroTime"):
            factory = ZERO_FACTORY.get(type_, type_)
        elif key in ("metadata", "spec", "status") and "$ref" in schema:
            factory = type_
        else:
            tail = f" = msgspec.field(default=None{rename})" if rename else " = None"
            return (
                f"{python}: {type_}{tail}" if type_ == "RawExtension" else f"{python}: {type_} | None{tail}"
            )
        return f"{python}: {type_} = msgspec.field(default_factory={factory}{rename})"

    def _type(self, schema: dict[str, Any]) -> str:
        if "$ref" in schema:
            return self._reference(schema["$ref"])
        kind = schema["type"]
        if kind == "array":
            return f"list[{self._type(schema['items'])}]"
        if kind == "object":
            return f"dict[str, {self._type(schema['additionalProperties'])}]"
        name = JSON_SCALARS[schema.get("format", "int64") if kind == "integer" else kind]
        if name.startswith("Int"):
            self.imported.add(name)
        return name

    def _reference(self, name: str) -> str:
        if "." not in name:
            self.imported.add(name)
            return name
        module = _module(name)
        if module == self.module:
            return name.rpartition(".")[2]
        self.imported.add(module)
        return f"{module}.{name.rpartition('.')[2]}"


def main(arguments: list[str]) -> None:
    steps = arguments or ["fetch", "render"]
    if "fetch" in steps:
        fetch()
    if "render" in steps:
        for module, text in render().items():
            (API / f"{module}.py").write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
