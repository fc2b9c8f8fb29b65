"""The patch `apply` sends: from what was applied last, what is wanted now and what there is (all plain JSON).

A field goes only when the last manifest had it and this one has not; what others set (status, defaults, other
tools) stays. The result is a JSON merge patch (RFC 7396), in which lists are replaced whole; a list that the
manifest did not change, and that the server merely filled with defaults, is left alone.
"""

from __future__ import annotations

from typing import Any

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def three_way_merge_patch(
    original: Any, modified: dict[str, Any], current: dict[str, Any]
) -> dict[str, Any]:
    """The merge patch that brings `current` to `modified`, given that `original` was applied before.

    `original` is None when nothing was. An empty patch means that there is nothing to do.
    """
    before = original if isinstance(original, dict) else {}
    patch: dict[str, Any] = {}
    for key, wanted in modified.items():
        if wanted is None:
            if current.get(key) is not None:
                patch[key] = None
            continue
        if key not in current:
            patch[key] = _without_nulls(wanted)
            continue
        change = _change(before.get(key), wanted, current[key])
        if change is not _NOTHING:
            patch[key] = change
    patch.update({key: None for key in before if key not in modified and key in current})
    return patch


_NOTHING = object()


def _change(original: Any, wanted: Any, current: Any) -> Any:
    """What a patch must say for one field that exists on both sides; _NOTHING if it may be silent."""
    if isinstance(wanted, dict) and isinstance(current, dict):
        return three_way_merge_patch(original, wanted, current) or _NOTHING
    if isinstance(wanted, list) and original == wanted and _covers(current, wanted):
        return _NOTHING
    return _NOTHING if _same(wanted, current) else wanted


def _same(wanted: Any, current: Any) -> bool:
    """Equal, and of one type: JSON's true is not 1."""
    return wanted == current and isinstance(wanted, bool) == isinstance(current, bool)


def _covers(current: Any, wanted: Any) -> bool:
    """Whether `current` says all that `wanted` says, and in lists nothing else."""
    if isinstance(wanted, dict):
        return isinstance(current, dict) and all(
            value is None or (key in current and _covers(current[key], value))
            for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(current, list)
            and len(current) == len(wanted)
            and all(_covers(c, w) for c, w in zip(current, wanted, strict=True))
        )
    return _same(wanted, current)


def _without_nulls(value: Any) -> Any:
    """A new value must not carry nulls: in a merge patch they would be deletions."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value
