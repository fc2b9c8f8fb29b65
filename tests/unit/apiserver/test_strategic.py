"""Strategic merge patches: what Kubernetes' own tests and documentation say comes out."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipod.api import core_v1
from minipod.api.errors import StatusError
from minipod.apiserver.http import strategic

A, B, C = ({"name": name, "image": name} for name in "abc")


def containers(*found: Any) -> dict[str, Any]:
    return {"spec": {"containers": list(found)}}


@pytest.mark.parametrize(
    ("value", "patch", "merged"),
    [
        ({"metadata": {"labels": {"a": "b"}}}, {"metadata": {"labels": {"c": "d", "a": None}}}, {"c": "d"}),
        ({}, {"metadata": {"labels": {"a": None, "b": "c"}}}, {"b": "c"}),
        (
            {"metadata": {"labels": {"a": "b"}}},
            {"metadata": {"labels": {"$patch": "replace", "c": "d"}}},
            {"c": "d"},
        ),
        ({"metadata": {"labels": {"a": "b"}}}, {"metadata": {"labels": {"$patch": "delete"}}}, {}),
        (
            {"metadata": {"labels": {"a": "b", "c": "d", "e": "f"}}},
            {"metadata": {"labels": {"$retainKeys": ["a", "x"], "x": "y"}}},
            {"a": "b", "x": "y"},
        ),
    ],
)
def test_maps(value: Any, patch: Any, merged: Any) -> None:
    assert strategic.merge(core_v1.Pod, value, patch)["metadata"]["labels"] == merged


@pytest.mark.parametrize(
    ("patch", "merged"),
    [
        ([{"name": "b", "image": "x"}], [A, {"name": "b", "image": "x"}]),
        ([{"name": "b", "image": None}], [A, {"name": "b"}]),
        ([C], [A, B, C]),
        ([C, {"name": "a", "tty": True}], [B, C, {**A, "tty": True}]),
        ([{"name": "a", "$patch": "delete"}], [B]),
        ([{"name": "x", "$patch": "delete"}], [A, B]),
        ([{"$patch": "replace"}, C], [C]),
        ([{"name": "a", "$patch": "replace", "tty": True}], []),
        ([], [A, B]),
    ],
)
def test_lists_with_a_merge_key(patch: Any, merged: Any) -> None:
    assert strategic.merge(core_v1.Pod, containers(A, B), containers(*patch)) == containers(*merged)


def test_the_order_a_client_wants() -> None:
    patch = {"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}], "containers": [C]}}
    assert strategic.merge(core_v1.Pod, containers(A, B), patch) == containers(B, C, A)
    turned = {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}
    assert strategic.merge(core_v1.Pod, containers(A, B), turned) == containers(B, A)


def test_lists_within_lists_and_lists_without_a_key() -> None:
    value = containers({"name": "a", "env": [{"name": "X", "value": "1"}], "args": ["a"]})
    patch = containers({"name": "a", "env": [{"name": "Y", "value": "2"}], "args": ["b"]})
    merged = {"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}], "args": ["b"]}
    assert strategic.merge(core_v1.Pod, value, patch) == containers(merged)


def test_lists_of_plain_values() -> None:
    value = {"metadata": {"finalizers": ["a", "b"]}}
    added = strategic.merge(core_v1.Pod, value, {"metadata": {"finalizers": ["c", "a"]}})
    assert sorted(added["metadata"]["finalizers"]) == ["a", "b", "c"]
    removed = strategic.merge(
        core_v1.Pod, value, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}
    )
    assert removed == {"metadata": {"finalizers": ["b"]}}


def test_two_elements_with_one_key_are_both_kept() -> None:
    ports = [{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]
    patch = containers({"name": "a", "ports": [{"containerPort": 53, "name": "dns"}]})
    merged = strategic.merge(core_v1.Pod, containers({"name": "a", "ports": ports}), patch)
    assert merged["spec"]["containers"][0]["ports"] == [{**ports[0], "name": "dns"}, ports[1]]


@pytest.mark.parametrize(
    "patch",
    [
        containers({"image": "x"}),
        containers("a"),
        containers({"name": []}),
        {"$patch": "burn"},
        {"metadata": {"$retainKeys": "a"}},
        {"metadata": {"$retainKeys": [1]}},
        {"metadata": {"$deleteFromPrimitiveList/finalizers": "a"}},
        {"spec": {"$setElementOrder/containers": {"name": "a"}, "containers": [A]}},
        {"metadata": {"finalizers": [{}]}},
    ],
)
def test_patches_that_make_no_sense(patch: Any) -> None:
    with pytest.raises(StatusError) as refused:
        strategic.merge(core_v1.Pod, {"metadata": {"finalizers": ["f"]}, **containers(A, B)}, patch)
    assert refused.value.code == 400


_names = st.sampled_from(
    (
        *("spec", "containers", "name", "a", "b", "$patch", "$retainKeys", "$setElementOrder/containers"),
        *("metadata", "finalizers", "$deleteFromPrimitiveList/finalizers"),
    )
)
_values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["a", "b", "delete", "replace"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(_names, _values, max_size=4), st.dictionaries(_names, _values, max_size=4))
def test_any_patch_ends_in_an_object_or_a_refusal(value: dict[str, Any], patch: dict[str, Any]) -> None:
    before, code = deepcopy(value), 400
    try:
        json.dumps(strategic.merge(core_v1.Pod, value, patch))
    except StatusError as refused:
        code = refused.code
    assert code == 400
    assert value == before
