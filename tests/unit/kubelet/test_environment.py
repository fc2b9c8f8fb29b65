"""Variables, references and the order they come in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipod.kubelet.containers.environment import DEFAULT_PATH, expand, pod_environment, process_environment
from minipod.kubelet.containers.field_ref import FieldPathError
from tests.unit.kubelet.pods import container, pod

KNOWN = {"A": "a", "B": "$(A)", "EMPTY": "", "a.b-c": "dotted"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$(A)", "a"),
        ("x$(A)y$(A)z", "xayaz"),
        ("$(B)", "$(A)"),  # what a reference stands for is not read again
        ("$(EMPTY)", ""),
        ("$(a.b-c)", "dotted"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$a"),
        ("$$$$(A)", "$$(A)"),
        ("$$", "$"),
        ("$", "$"),
        ("$A", "$A"),
        ("$(A", "$(A"),
        ("$(A$(A)", "$(A$(A)"),
        ("$()", "$()"),
        ("end$", "end$"),
        ("$(A)$(", "a$("),
    ],
)
def test_references_are_replaced_as_kubernetes_does(text: str, expected: str) -> None:
    assert expand(text, KNOWN.get) == expected


@given(st.text())
def test_text_without_a_dollar_stays_as_it_is(text: str) -> None:
    plain = text.replace("$", "")
    assert expand(plain, KNOWN.get) == plain


@given(st.text())
def test_doubling_every_dollar_escapes_all_of_them(text: str) -> None:
    assert expand(text.replace("$", "$$"), KNOWN.get) == text


@given(st.text(alphabet="$()AX "))
def test_an_unknown_name_is_never_lost(text: str) -> None:
    expand(text, lambda _: None)
    assert expand(text.replace("$$", ""), lambda _: None) == text.replace("$$", "")


def variables(*env: dict[str, object]) -> dict[str, str]:
    found = pod(container(env=list(env)), nodeName="n1")
    return pod_environment(found, found.spec.containers[0], pod_ip="10.0.0.9", host_ip="192.0.2.1")


def test_a_reference_sees_only_what_comes_before_it() -> None:
    assert variables(
        {"name": "EARLY", "value": "$(LATE)"},
        {"name": "LATE", "value": "late"},
        {"name": "AFTER", "value": "<$(LATE)>"},
    ) == {"EARLY": "$(LATE)", "LATE": "late", "AFTER": "<late>"}


def test_a_name_given_twice_may_refer_to_itself_and_has_its_last_value() -> None:
    assert variables({"name": "P", "value": "a"}, {"name": "P", "value": "$(P):b"}) == {"P": "a:b"}


def test_fields_of_the_pod_become_values() -> None:
    paths = ["metadata.name", "metadata.namespace", "spec.nodeName", "status.podIP", "status.hostIP"]
    found = variables(
        *({"name": p.replace(".", "_"), "valueFrom": {"fieldRef": {"fieldPath": p}}} for p in paths)
    )
    assert list(found.values()) == ["web", "default", "n1", "10.0.0.9", "192.0.2.1"]


def test_labels_and_annotations_are_reached_by_key() -> None:
    made = pod(
        container(env=[{"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a/b']"}}}]),
        metadata={"labels": {"a/b": "value"}},
    )
    assert pod_environment(made, made.spec.containers[0], pod_ip="", host_ip="") == {"L": "value"}


def test_a_field_that_is_none_is_an_error() -> None:
    with pytest.raises(FieldPathError, match=r"spec\.color"):
        variables({"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "spec.color"}}})


def test_what_needs_a_config_map_is_left_out() -> None:
    found = variables({"name": "X", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}})
    assert found == {}


def test_the_pods_variables_go_before_the_images_before_the_runtimes() -> None:
    env = process_environment(
        image=["PATH=/bin", "LANG=C", "BROKEN"],
        pod={"LANG": "de", "NEW": "1"},
        hostname="h",
        home="/root",
        tty=False,
    )
    assert env == ["PATH=/bin", "HOSTNAME=h", "LANG=de", "NEW=1", "HOME=/root"]


def test_a_terminal_has_a_type_and_a_missing_path_a_default() -> None:
    env = process_environment(image=[], pod={"HOME": "/srv"}, hostname="h", home="/root", tty=True)
    assert env == [f"PATH={DEFAULT_PATH}", "HOSTNAME=h", "TERM=xterm", "HOME=/srv"]
