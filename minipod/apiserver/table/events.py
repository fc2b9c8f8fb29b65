"""Events as `kubectl get events` shows them."""

from __future__ import annotations

from minipod.api import core_v1
from minipod.apiserver.table.columns import NAME, Cells, Column, TableRules, since

COLUMNS = (
    Column("Last Seen", "Time since it happened last."),
    Column("Type", "Normal or Warning."),
    Column("Reason", "A word for what happened."),
    Column("Object", "What it happened to."),
    Column("Subobject", "Which part of it.", 1),
    Column("Source", "Who reports it.", 1),
    Column("Message", "What happened."),
    Column("First Seen", "Time since it happened first.", 1),
    Column("Count", "How often it happened.", 1),
    Column(NAME.name, NAME.description, 1, format="name"),
)


def cells(event: core_v1.Event, now_us: int) -> Cells:
    about = event.involvedObject
    first = since(event.firstTimestamp or event.eventTime, now_us)
    last = since(event.lastTimestamp, now_us) if event.lastTimestamp else first
    count = event.count or 1
    if event.series:
        last, count = since(event.series.lastObservedTime, now_us), event.series.count or 1
    kind = (about.kind or "").lower()
    return [
        last,
        event.type or "",
        event.reason or "",
        f"{kind}/{about.name}" if about.name else kind,
        about.fieldPath or "",
        _source(event),
        (event.message or "").strip(),
        first,
        count,
        event.metadata.name or "",
    ]


EVENTS_TABLE = TableRules(COLUMNS, cells)


def _source(event: core_v1.Event) -> str:
    component = (event.source.component if event.source else "") or event.reportingComponent or ""
    host = (event.source.host if event.source else "") or event.reportingInstance or ""
    return f"{component}, {host}" if host else component
