"""Objects as a server answers them, and what kubectl 1.32 printed for them at the moment NOW (TZ=UTC)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minipod.api.documents import parse

HERE = Path(__file__).parent
NOW = 1795562593.0


def objects(name: str) -> list[dict[str, Any]]:
    """The objects in objects/NAME.yaml."""
    path = HERE / "objects" / f"{name}.yaml"
    return [document.value for document in parse(path.read_text(), path.name)]


def events_about(name: str) -> list[dict[str, Any]]:
    return [event for event in objects("events") if event["involvedObject"]["name"] == name]


def expected(name: str) -> str:
    return (HERE / "expected" / name).read_text()
