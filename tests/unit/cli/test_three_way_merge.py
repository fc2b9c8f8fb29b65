"""What apply sends: only what the manifest changed, and nothing that others set."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipod.cli.run import merge_patch
from minipod.cli.three_way_merge import three_way_merge_patch

JSON = st.recursive(
    st.booleans() | st.integers(-2, 2) | st.sampled_from(["a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("xyz"), JSON, max_size=3)


@pytest.mark.parametrize(
    ("original", "modified", "current", "patch"),
    [
        pytest.param({}, {}, {"status": 1}, {}, id="what others set stays"),
        pytest.param(None, {"a": 1}, {"a": 1}, {}, id="nothing to do"),
        pytest.param({"a": 1}, {"a": 2}, {"a": 1, "b": 3}, {"a": 2}, id="a changed field"),
        pytest.param({"a": 1, "b": 2}, {"a": 1}, {"a": 1, "b": 2}, {"b": None}, id="a field taken out"),
        pytest.param({"b": 2}, {}, {}, {}, id="a field taken out that is gone already"),
        pytest.param({}, {"a": 1}, {}, {"a": 1}, id="a new field"),
        pytest.param({"a": 1}, {"a": 1}, {"a": 9}, {"a": 1}, id="a field somebody else changed"),
        pytest.param({}, {"a": None}, {"a": 1}, {"a": None}, id="an explicit null deletes"),
        pytest.param({}, {"a": None}, {}, {}, id="an explicit null of nothing"),
        pytest.param({}, {"a": {"b": None, "c": 1}}, {}, {"a": {"c": 1}}, id="no nulls in new values"),
        pytest.param({}, {"a": True}, {"a": 1}, {"a": True}, id="true is not 1"),
        pytest.param(
            {"a": {"b": 1, "c": 1}}, {"a": {"b": 1}}, {"a": {"b": 1, "c": 1, "d": 1}}, {"a": {"c": None}}, id="deep"
        ),
        pytest.param({"a": {"b": 1}}, {}, {"a": {"b": 1, "x": 2}}, {"a": None}, id="a whole map taken out"),
        pytest.param({"l": [1]}, {"l": [1, 2]}, {"l": [1]}, {"l": [1, 2]}, id="a list is replaced"),
        pytest.param(
            {"c": [{"name": "a"}]},
            {"c": [{"name": "a"}]},
            {"c": [{"name": "a", "default": 1}]},
            {},
            id="defaults in lists",
        ),
        pytest.param(
            {"c": [{"name": "a", "cmd": 1}]},
            {"c": [{"name": "a"}]},
            {"c": [{"name": "a", "cmd": 1, "default": 1}]},
            {"c": [{"name": "a"}]},
            id="a field taken out inside a list",
        ),
        pytest.param(
            {"c": [{"name": "a"}]},
            {"c": [{"name": "a"}]},
            {"c": [{"name": "a"}, {"name": "b"}]},
            {"c": [{"name": "a"}]},
            id="an element somebody else added",
        ),
    ],
)  # fmt: skip
def test_patch(
    original: Any, modified: dict[str, Any], current: dict[str, Any], patch: dict[str, Any]
) -> None:
    assert three_way_merge_patch(original, modified, current) == patch


@settings(max_examples=60)
@given(OBJECTS, OBJECTS, OBJECTS)
def test_after_the_patch_there_is_nothing_left_to_do(
    original: dict[str, Any], modified: dict[str, Any], current: dict[str, Any]
) -> None:
    patched = merge_patch(current, three_way_merge_patch(original, modified, current))
    assert three_way_merge_patch(modified, modified, patched) == {}


@settings(max_examples=60)
@given(OBJECTS, OBJECTS)
def test_applied_to_nothing_it_makes_the_manifest(
    original: dict[str, Any], modified: dict[str, Any]
) -> None:
    assert merge_patch({}, three_way_merge_patch(original, modified, {})) == modified
