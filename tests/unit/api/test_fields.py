"""Field selectors: which fields there are, and matching."""

from __future__ import annotations

import pytest

from minipod.api import core_v1, fields, meta_v1
from minipod.api.scheme import EVENTS, NAMESPACES, NODES, PODS

POD = core_v1.Pod(
    metadata=meta_v1.ObjectMeta(name="a", namespace="n"),
    spec=core_v1.PodSpec(nodeName="here", restartPolicy="Never"),
    status=core_v1.PodStatus(phase="Running", podIP="10.0.0.1"),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("metadata.name=a", True),
        ("metadata.name==a,metadata.namespace=n", True),
        ("metadata.name=b", False),
        ("status.phase!=Running", False),
        ("status.phase=Running,spec.nodeName!=there", True),
        ("spec.hostNetwork=false", True),
        ("spec.serviceAccountName=", True),
        ("status.podIP=10.0.0.1", True),
    ],
)
def test_matching_pods(text: str, expected: bool) -> None:
    assert fields.parse(text, PODS).matches(POD) is expected


def test_events_and_nodes() -> None:
    event = core_v1.Event(
        involvedObject=core_v1.ObjectReference(kind="Pod", name="a", uid="u"),
        source=core_v1.EventSource(component="kubelet"),
        type="Warning",
    )
    text = "involvedObject.kind=Pod,involvedObject.name=a,source=kubelet,type=Warning"
    assert fields.parse(text, EVENTS).matches(event)
    assert not fields.parse("involvedObject.uid=v", EVENTS).matches(event)
    assert fields.parse("spec.unschedulable=false", NODES).matches(core_v1.Node())
    active = core_v1.Namespace(status=core_v1.NamespaceStatus(phase="Active"))
    assert fields.parse("status.phase=Active", NAMESPACES).matches(active)


def test_the_exact_value_asked_for() -> None:
    selector = fields.parse("metadata.name=a,status.phase!=Failed", PODS)
    assert selector.exact("metadata.name") == "a"
    assert selector.exact("status.phase") is None
    assert str(selector) == "metadata.name=a,status.phase!=Failed"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("spec.color=red", "field label not supported: spec.color"),
        ("nonsense", "invalid selector: 'nonsense'; can't understand 'nonsense'"),
        ("a=b=c", "invalid selector: 'a=b=c'; can't understand 'a=b=c'"),
    ],
)
def test_mistakes_are_named(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        fields.parse(text, PODS)
    assert said in str(caught.value)
