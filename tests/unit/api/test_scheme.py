"""The served resources and their names."""

from __future__ import annotations

import pytest

from minipod.api import core_v1, scheme
from minipod.api.scheme import EVENTS, NAMESPACES, NODES, PODS, Resource


def test_look_ups() -> None:
    assert scheme.by_kind("v1", "Pod") is PODS
    assert scheme.by_kind("v1", "Podd") is None
    assert scheme.by_kind("apps/v1", "Pod") is None
    assert scheme.by_path("", "v1", "nodes") is NODES
    assert scheme.by_path("apps", "v1", "nodes") is None
    assert scheme.by_type(core_v1.Namespace) is NAMESPACES
    assert scheme.by_type(core_v1.Container) is None


@pytest.mark.parametrize(
    ("word", "resource"),
    [
        ("po", PODS),
        ("pod", PODS),
        ("Pods", PODS),
        ("pods.v1.", PODS),
        ("ev", EVENTS),
        ("ns", NAMESPACES),
        ("x", None),
    ],
)
def test_what_people_type(word: str, resource: Resource | None) -> None:
    assert scheme.by_word(word) is resource


@pytest.mark.parametrize("resource", scheme.RESOURCES, ids=lambda resource: resource.plural)
def test_resources_agree_with_their_types(resource: Resource) -> None:
    made = resource.type()
    assert (made.apiVersion, made.kind) == (resource.api_version, resource.kind)
    many = resource.list_type(items=[made])
    assert many.kind == resource.list_kind
    assert hasattr(made, "status") or not resource.has_status


def test_names_do_not_collide() -> None:
    words = [word for one in scheme.RESOURCES for word in (one.plural, one.singular, *one.short_names)]
    assert len(words) == len(set(words))
    assert scheme.by_category("all") == (PODS,)
