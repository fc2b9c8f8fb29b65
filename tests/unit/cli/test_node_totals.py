"""What the pods of a node ask of it, as `describe node` adds it up."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.cli.descriptions.node import total


def pod(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": list(containers), **spec}}


ONE = {"resources": {"requests": {"cpu": "1"}}}


@pytest.mark.parametrize(
    ("pods", "kind", "expected"),
    [
        ([pod(ONE), pod(ONE, ONE)], "requests", 3),
        ([pod(ONE, initContainers=[{**ONE, "restartPolicy": "Always"}])], "requests", 2),
        ([pod(ONE, resources={"requests": {"cpu": "4"}})], "requests", 4),
        ([pod(ONE, resources={"requests": {"memory": "4"}})], "requests", 1),
        ([pod(ONE, overhead={"cpu": "2"})], "requests", 3),
        ([pod(ONE, overhead={"cpu": "2"})], "limits", 0),
    ],
)
def test_totals(pods: list[dict[str, Any]], kind: str, expected: int) -> None:
    assert total(pods, kind, "cpu") == expected
