"""Prometheus' text format: families of samples with labels.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


@dataclass(slots=True)
class Family:
    """One metric with all its samples, in the order in which they were added."""

    name: str
    kind: Literal["counter", "gauge"]
    about: str
    lines: list[str] = field(default_factory=list)

    def add(
        self, value: float, labels: Mapping[str, str] | None = None, *, at_ms: int | None = None
    ) -> None:
        """`at_ms`: when it was measured, since the epoch; without it the reader's clock counts."""
        inner = ",".join(f'{name}="{text.translate(_ESCAPES)}"' for name, text in (labels or {}).items())
        stamp = f" {at_ms}" if at_ms is not None else ""
        self.lines.append(
            f"{self.name}{{{inner}}} {number(value)}{stamp}"
            if inner
            else f"{self.name} {number(value)}{stamp}"
        )


def number(value: float) -> str:
    return str(value) if isinstance(value, int) else repr(float(value))


def page(families: list[Family]) -> str:
    """Families without samples are left out."""
    return "".join(
        f"# HELP {one.name} {one.about}\n# TYPE {one.name} {one.kind}\n"
        + "".join(f"{line}\n" for line in one.lines)
        for one in families
        if one.lines
    )
