"""The events below a description, and the columns of `minipod events`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minipod.cli.descriptions.text import Text, epoch
from minipod.cli.durations import human_duration


def describe_events(text: Text, events: Sequence[dict[str, Any]], now: float) -> None:
    if not events:
        text.field(0, "Events", "<none>")
        return
    text.line(0, "Events:")
    rows = [
        [event.get("type", ""), event.get("reason", ""), seen(event, now), _source(event), _message(event)]
        for event in in_order(events)
    ]
    text.rows(1, "Type Reason Age From Message", rows, rule="---- ------ ---- ---- -------")


def in_order(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Oldest first, by when each was last seen."""
    return sorted(events, key=lambda event: _last(event) or 0.0)


def seen(event: dict[str, Any], now: float) -> str:
    """How long ago: `5s`, or `5s (x4 over 2m)` for one that was counted."""
    first = _age(event.get("eventTime") or event.get("firstTimestamp"), now)
    series = event.get("series")
    if series:
        return f"{_age(series.get('lastObservedTime'), now)} (x{series.get('count', 0)} over {first})"
    if event.get("count", 0) > 1:
        return f"{_age(event.get('lastTimestamp'), now)} (x{event['count']} over {first})"
    return first


def event_row(event: dict[str, Any], now: float) -> list[str]:
    """Last seen, type, reason, object, message."""
    about = event.get("involvedObject") or {}
    subject = f"{about.get('kind', '')}/{about.get('name', '')}"
    return [seen(event, now), event.get("type", ""), event.get("reason", ""), subject, _message(event)]


def _message(event: dict[str, Any]) -> str:
    return str(event.get("message", "")).strip()


def _source(event: dict[str, Any]) -> str:
    return str((event.get("source") or {}).get("component") or event.get("reportingComponent") or "")


def _last(event: dict[str, Any]) -> float | None:
    series = event.get("series") or {}
    return epoch(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime"))


def _age(timestamp: str | None, now: float) -> str:
    seconds = epoch(timestamp)
    return "<unknown>" if seconds is None else human_duration(now - seconds)
