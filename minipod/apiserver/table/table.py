"""From stored objects to a Table's bytes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Raw

from minipod.api import codec
from minipod.api.scheme import EVENTS, NAMESPACES, NODES, PODS, Resource
from minipod.apiserver.table.columns import AGE, NAME, Cells, Column, TableRules, age
from minipod.apiserver.table.events import EVENTS_TABLE
from minipod.apiserver.table.namespaces import NAMESPACES_TABLE
from minipod.apiserver.table.nodes import NODES_TABLE
from minipod.apiserver.table.pods import PODS_TABLE
from minipod.storage.interface import Stored


class IncludeObject(StrEnum):
    """How much of each object goes into its row."""

    NONE = "None"
    METADATA = "Metadata"
    OBJECT = "Object"


def _plain_cells(obj: Any, now_us: int) -> Cells:
    return [obj.metadata.name or "", age(obj, now_us)]


_PLAIN = TableRules((NAME, AGE), _plain_cells)
_RULES = {
    resource.group_resource: rules
    for resource, rules in (
        (EVENTS, EVENTS_TABLE),
        (NAMESPACES, NAMESPACES_TABLE),
        (NODES, NODES_TABLE),
        (PODS, PODS_TABLE),
    )
}


def table(
    resource: Resource,
    items: Iterable[Stored],
    metadata: bytes,
    *,
    include: IncludeObject = IncludeObject.METADATA,
    columns: bool = True,
) -> bytes:
    """A Table of objects. `metadata` is the list's as JSON; `columns`: with their definitions."""
    rules = _RULES.get(resource.group_resource, _PLAIN)
    now_us = time.time_ns() // 1000
    return codec.encode(
        {
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": Raw(metadata),
            "columnDefinitions": _definitions(rules.columns) if columns else [],
            "rows": [_row(rules, stored, now_us, include) for stored in items],
        }
    )


def partial_metadata(stored: Stored) -> bytes:
    """An object's metadata alone, as a PartialObjectMetadata."""
    return b'{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":%b}' % codec.encode(
        stored.obj.metadata
    )


def _row(rules: TableRules, stored: Stored, now_us: int, include: IncludeObject) -> dict[str, Any]:
    row: dict[str, Any] = {"cells": rules.cells(stored.obj, now_us)}
    conditions = rules.conditions(stored.obj)
    if conditions:
        row["conditions"] = conditions
    if include is IncludeObject.METADATA:
        row["object"] = Raw(partial_metadata(stored))
    elif include is IncludeObject.OBJECT:
        row["object"] = Raw(stored.encoded)
    return row


def _definitions(columns: Sequence[Column]) -> list[dict[str, Any]]:
    return [
        {
            "name": column.name,
            "type": column.type,
            "format": column.format,
            "description": column.description,
            "priority": column.priority,
        }
        for column in columns
    ]
