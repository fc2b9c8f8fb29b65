"""Namespaces, and whatever kind has no description of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minipod.cli.descriptions.events import describe_events
from minipod.cli.descriptions.text import Text

Obj = dict[str, Any]


def describe_namespace(namespace: Obj) -> str:
    text = Text()
    _head(text, namespace)
    text.field(0, "Status", (namespace.get("status") or {}).get("phase", ""))
    return text.finish()


def describe_any(obj: Obj, events: Sequence[Obj], now: float) -> str:
    """Every field, by its name; `now` in seconds since the epoch."""
    text = Text()
    _head(text, obj)
    _value(text, 0, {k: v for k, v in obj.items() if k != "metadata"})
    describe_events(text, events, now)
    return text.finish()


def _head(text: Text, obj: Obj) -> None:
    metadata = obj["metadata"]
    text.field(0, "Name", metadata["name"])
    if metadata.get("namespace"):
        text.field(0, "Namespace", metadata["namespace"])
    text.mapping(0, "Labels", metadata.get("labels") or {})
    text.annotations(metadata.get("annotations") or {})


def _value(text: Text, level: int, value: Any) -> None:
    pairs = (
        value.items() if isinstance(value, dict) else ((f"[{at}]", item) for at, item in enumerate(value))
    )
    for key, item in pairs:
        name = _spaced(key)
        if isinstance(item, dict | list) and item:
            text.line(level, f"{name}:")
            _value(text, level + 1, item)
        else:
            text.field(level, name, "<none>" if item in (None, {}, []) else item)


def _spaced(key: str) -> str:
    """`lastTransitionTime` -> `Last Transition Time`; a key that is no such name stays as it is."""
    if not key.isalpha():
        return key
    words = "".join(
        f" {c}" if c.isupper() and not key[at - 1 : at].isupper() else c for at, c in enumerate(key)
    )
    return words[:1].upper() + words[1:] if key[:1].islower() else key
