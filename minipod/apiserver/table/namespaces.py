"""Namespaces as `kubectl get namespaces` shows them."""

from __future__ import annotations

from minipod.api import core_v1
from minipod.apiserver.table.columns import AGE, NAME, Cells, Column, TableRules, age


def cells(namespace: core_v1.Namespace, now_us: int) -> Cells:
    return [namespace.metadata.name or "", namespace.status.phase or "", age(namespace, now_us)]


NAMESPACES_TABLE = TableRules((NAME, Column("Status", "Active, or Terminating."), AGE), cells)
