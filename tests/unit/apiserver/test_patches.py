"""JSON merge patch and JSON patch, by the examples of their RFCs and by property."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipod.api import core_v1
from minipod.api.errors import StatusError
from minipod.apiserver.http import patches

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3)
    ),
    max_leaves=12,
)
json_objects = st.dictionaries(st.text("ab", max_size=2), json_values, max_size=3)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_as_rfc_7396_has_it(target: Any, patch: Any, result: Any) -> None:
    before = deepcopy(target)
    assert patches.merge(target, patch) == result
    assert target == before


@settings(max_examples=40, deadline=None)
@given(json_objects, json_objects)
def test_a_merge_patch_applied_twice_is_applied_once(target: Any, patch: Any) -> None:
    once = patches.merge(target, patch)
    assert patches.merge(once, patch) == once


@pytest.mark.parametrize(
    ("document", "operations", "result"),
    [
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"foo": "bar", "baz": "qux"}),
        (
            {"foo": ["bar", "baz"]},
            [{"op": "add", "path": "/foo/1", "value": "qux"}],
            {"foo": ["bar", "qux", "baz"]},
        ),
        ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["x"]}], {"foo": ["bar", ["x"]]}),
        ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
        ({"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
        ({"baz": "qux"}, [{"op": "replace", "path": "/baz", "value": "boo"}], {"baz": "boo"}),
        ({"a": [1, 2, 3]}, [{"op": "replace", "path": "/a/1", "value": 9}], {"a": [1, 9, 3]}),
        (
            {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
            [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
            {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
        ),
        (
            {"foo": ["all", "grass", "cows", "eat"]},
            [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
            {"foo": ["all", "cows", "eat", "grass"]},
        ),
        ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}], {"a": {"b": 1}, "c": {"b": 1}}),
        ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
        ({"foo": None}, [{"op": "test", "path": "/foo", "value": None}], {"foo": None}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
        ({"a": {"": 1}}, [{"op": "replace", "path": "/a/", "value": 2}], {"a": {"": 2}}),
    ],
)
def test_json_patch_as_rfc_6902_has_it(document: Any, operations: Any, result: Any) -> None:
    before = deepcopy(document)
    assert patches.apply_operations(document, operations) == result
    assert document == before


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        ([{"op": "add", "path": "/baz/bat", "value": "qux"}], 422),
        ([{"op": "remove", "path": "/baz"}], 422),
        ([{"op": "replace", "path": "/baz", "value": 1}], 422),
        ([{"op": "test", "path": "/foo", "value": "bar"}], 422),
        ([{"op": "test", "path": "/one", "value": True}], 422),
        ([{"op": "test", "path": "/foo/0", "value": {"b": False}}], 422),
        ([{"op": "add", "path": "/foo/7", "value": 1}], 422),
        ([{"op": "add", "path": "/foo/01", "value": 1}], 422),
        ([{"op": "add", "path": "/foo/x", "value": 1}], 422),
        ([{"op": "add", "path": "/foo/" + "9" * 5000, "value": 1}], 422),
        ([{"op": "remove", "path": "/foo/-"}], 422),
        ([{"op": "add", "path": "/foo/1/x/y", "value": 1}], 422),
        ([{"op": "move", "from": "/foo", "path": "/foo/0"}], 400),
        ([{"op": "jump", "path": "/foo"}], 400),
        ([{"op": "add", "path": "foo", "value": 1}], 400),
        ([{"op": "add", "path": "/foo"}], 400),
        ([{"op": "add", "value": 1}], 400),
        ([{"op": "copy", "path": "/x"}], 400),
        ([{}], 400),
        ([{"op": "copy", "from": "", "path": f"/c{n}"} for n in range(40)], 413),
    ],
)
def test_operations_that_cannot_be(operations: Any, code: int) -> None:
    document = {"foo": [{"b": 0}, "x"], "one": 1}
    before = deepcopy(document)
    with pytest.raises(StatusError) as refused:
        patches.apply_operations(document, operations)
    assert refused.value.code == code
    assert document == before


@settings(max_examples=60, deadline=None)
@given(
    json_objects,
    st.lists(
        st.fixed_dictionaries(
            {
                "op": st.sampled_from(["add", "remove", "test", "move", "copy", "replace"]),
                "path": st.sampled_from(["", "/a", "/a/b", "/b/0", "/a/-"]),
                "from": st.sampled_from(["", "/a", "/b"]),
                "value": json_values,
            }
        ),
        max_size=4,
    ),
)
def test_json_patch_ends_in_a_document_or_a_refusal(document: Any, operations: Any) -> None:
    before = deepcopy(document)
    code = 200
    try:
        json.dumps(patches.apply_operations(document, operations))
    except StatusError as refused:
        code = refused.code
    assert code in (200, 400, 413, 422)
    assert document == before


@pytest.mark.parametrize(
    ("content_type", "data", "code"),
    [
        (patches.MERGE, b"[]", 400),
        (patches.MERGE, b"{", 400),
        (patches.JSON_PATCH, b"{}", 400),
        (patches.JSON_PATCH, b"[1]", 400),
        (patches.JSON_PATCH, b"[" + b",".join([b"{}"] * 10_001) + b"]", 413),
        (patches.STRATEGIC, b"[]", 400),
        ("application/apply-patch+yaml", b"{}", 415),
        ("", b"{}", 415),
    ],
)
def test_patches_that_are_none(content_type: str, data: bytes, code: int) -> None:
    with pytest.raises(StatusError) as refused:
        patches.parse(content_type, data, core_v1.Pod)
    assert refused.value.code == code


def test_a_merge_patch_as_deep_as_the_sea_is_refused() -> None:
    data = b'{"a":' * 400 + b"1" + b"}" * 400
    for kind in (patches.MERGE, patches.STRATEGIC):
        with pytest.raises(StatusError):
            patches.parse(kind, data, core_v1.Pod)({})
