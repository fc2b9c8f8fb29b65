"""What a manifest file asks for, and what is said of one that is wrong."""

from __future__ import annotations

import pytest

from minipod.api.scheme import NAMESPACES, PODS
from minipod.manifests import FILE_ANNOTATION, HASH_ANNOTATION, ManifestError, parse_file

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: []}\n"
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: team}\n"


def test_every_document_of_a_file_is_wanted_and_marked_as_the_files() -> None:
    pod, namespace = parse_file("f.yaml", f"{POD}---\n---\n{NAMESPACE}")
    assert (pod.resource, pod.namespace, pod.name) == (PODS, "default", "a")
    assert (namespace.resource, namespace.namespace, namespace.name) == (NAMESPACES, "", "team")
    assert pod.document["metadata"]["annotations"] == {FILE_ANNOTATION: "f.yaml", HASH_ANNOTATION: pod.hash}
    assert "namespace" not in namespace.document["metadata"]


def test_a_list_is_its_items() -> None:
    item = '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}'
    text = f'{{"apiVersion": "v1", "kind": "List", "items": [{item}]}}'
    assert [w.name for w in parse_file("f.json", text)] == ["x"]


def test_the_hash_changes_with_the_content_only() -> None:
    one, again = parse_file("f.yaml", POD)[0], parse_file("f.yaml", POD + "\n# a remark\n")[0]
    other = parse_file("f.yaml", POD.replace("containers: []", "containers: [], hostname: h"))[0]
    assert one.hash == again.hash
    assert one.hash != other.hash


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "f.yaml"),
        ("just words", "f.yaml:1:1: expected an object"),
        ("apiVersion: v1\nkind: Podd\nmetadata: {name: a}\n", "f.yaml: no kind 'Podd' in version 'v1'"),
        ("apiVersion: v1\nkind: Pod\n", "f.yaml: metadata.name: Required value"),
        ("apiVersion: v1\nkind: Pod\nmetadata: 7\n", "metadata.name"),
    ],
)
def test_a_bad_file_is_named(text: str, said: str) -> None:
    with pytest.raises(ManifestError) as raised:
        parse_file("f.yaml", text)
    assert said in str(raised.value)
