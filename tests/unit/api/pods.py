"""Pods for these tests: decoded, defaulted, and judged in one call."""

from __future__ import annotations

from typing import Any

from minipod.api import codec, core_v1, defaults, errors, validation


def container(name: str = "c", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "busybox", **fields}


def manifest(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": list(containers) or [container()], **spec},
    }


def pod(*containers: dict[str, Any], **spec: Any) -> core_v1.Pod:
    made = codec.from_builtins(core_v1.Pod, manifest(*containers, **spec))
    defaults.set_defaults(made)
    return made


def refusal(made: core_v1.Pod, old: core_v1.Pod | None = None) -> str:
    """What the API would answer without the words in front of it; "" when nothing is wrong."""
    found = validation.validate_update(made, old) if old is not None else validation.validate(made)
    if not found:
        return ""
    return errors.invalid("Pod", "p", found).message.removeprefix('Pod "p" is invalid: ')
