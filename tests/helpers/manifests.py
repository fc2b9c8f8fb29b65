"""Pods as tests need them: one container of minipod/base, and whatever the test is about."""

from __future__ import annotations

from typing import Any

FOREVER = "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done"
"""Shell code that runs until SIGTERM and then ends at once with 0."""


def container(script: str = FOREVER, name: str = "main", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "minipod/base", "command": ["sh", "-c", script], **fields}


def pod(
    name: str, *containers: dict[str, Any], labels: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    """`spec` are further fields of the pod's spec; without containers there is one that runs forever.

    The grace period is short: a SIGTERM that comes before the shell has set its trap is lost on a PID 1.
    """
    metadata: dict[str, Any] = {"name": name}
    if labels:
        metadata["labels"] = labels
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {
            "terminationGracePeriodSeconds": 2,
            "containers": list(containers) or [container()],
            **spec,
        },
    }
