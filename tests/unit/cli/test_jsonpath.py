"""kubectl's JSONPath. The expected texts are what kubectl 1.32 prints for the same object and template."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipod.cli import jsonpath

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "web",
        "labels": {"app": "x<y", "b.c/d": "e"},
        "annotations": {"prometheus.io/scrape": "true"},
    },
    "spec": {
        "terminationGracePeriodSeconds": 30,
        "hostNetwork": True,
        "containers": [
            {"name": "a", "image": "ia", "ports": [{"containerPort": 80}, {"containerPort": 443}]},
            {"name": "b", "image": "ib", "env": [{"name": "X", "value": "1"}]},
            {"name": "c", "image": "ic"},
        ],
        "volumes": [],
    },
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Init", "status": "False"}]},
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain text", "plain text"),
        ("{.metadata.name}", "web"),
        ("{$.metadata.name}", "web"),
        ("{ .metadata.name }", "web"),
        ("{.metadata .name}", "web"),
        ("{.metadata['name']}", "web"),
        ("{.spec['containers'][0].name}", "a"),
        ("{.metadata.nam}", ""),
        ("{.spec.containers.name}", ""),
        ("{.spec.hostNetwork} {.spec.terminationGracePeriodSeconds}", "true 30"),
        ("{.metadata.labels}", '{"app":"x\\u003cy","b.c/d":"e"}'),
        ("{.spec.volumes}", "[]"),
        (r"{.metadata.annotations.prometheus\.io/scrape}", "true"),
        (r"{.metadata.labels['b\.c/d']}", "e"),
        ("{.metadata.labels.*}", "x<y e"),
        ("{.spec.containers[*].name}", "a b c"),
        ("{.spec.containers[-1].name}", "c"),
        ("{.spec.containers[0:2].name}", "a b"),
        ("{.spec.containers[0:3:2].name}", "a c"),
        ("{.spec.containers[::2].name}", "a c"),
        ("{.spec.containers[1:].name}", "b c"),
        ("{.spec.containers[:-1].name}", "a b"),
        ("{.spec.containers[0:0].name}", ""),
        ("{.spec.containers[0,2].name}", "a c"),
        ("{.spec.containers[0]['name','image']}", "a ia"),
        ('{.spec.containers[?(@.name=="b")].image}', "ib"),
        ("{.spec.containers[?(@.name == 'b')].image}", "ib"),
        ("{.spec.containers[?(@.name!='b')].image}", "ia ic"),
        ("{.spec.containers[?(@.ports)].name}", "a"),
        ("{.spec.containers[?(@.ports[0].containerPort==80)].name}", "a"),
        ("{.spec.containers[?(@.ports[0].containerPort>80)].name}", ""),
        ('{.spec.containers[?(@.image>"ia")].name}', "b c"),
        ('{.spec.containers[?(@.name=="b)")].image}', ""),
        ('{.status.conditions[?(@.type=="Ready")].status}', "True"),
        ("{..containerPort}", "80 443"),
        ("{.metadata..name}", "web"),
        ('{range .spec.containers[*]}{.name}{"\\t"}{.image}{"\\n"}{end}', "a\tia\nb\tib\nc\tic\n"),
        (
            "{range .spec.containers[*]}{.name}:{range .ports[*]}{.containerPort},{end};{end}!",
            "a:80,443,;b:;c:;!",
        ),
        ("{range .spec.nothing[*]}{.name}{end}after", "after"),
        ('{range .spec.containers[*].name}{@}{","}{end}', "a,b,c,"),
        ("{true}{1}{-1.5}{'a'}", "true1-1.5a"),
        ("{.kind}{.apiVersion}", "Podv1"),
    ],
)
def test_prints_what_kubectl_prints(template: str, text: str) -> None:
    assert jsonpath.render(jsonpath.parse(template), POD) == text


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{.metadata.name", "unclosed action"),
        ("{end}", "not in range, nothing to end"),
        ("{foo}", "unrecognized identifier foo"),
        ("{.spec.containers[a]}", "invalid array index a"),
        ("{.spec.containers[}", "unterminated array"),
        ('{.spec.containers[?(@.name=="b"].x}', "unterminated filter"),
        ('{.spec.containers[?(@.name=~"b")].x}', "unrecognized character"),
        ("{'abc}", "unterminated quoted string"),
        ("{.....}", "recursive descent"),
        ("{.spec.containers[5].name}", "array index out of bounds: index 5, length 3"),
        ("{.spec.containers[2:1].name}", "starting index 2 is greater than ending index 1"),
        ("{.spec.containers[0:2:0].name}", "step must be > 0"),
        ("{.metadata[0]}", "is not an array"),
        ('{.spec.containers[?(@.ports[0].containerPort>="a")].name}', "incompatible types for comparison"),
    ],
)
def test_says_what_is_wrong(template: str, problem: str) -> None:
    with pytest.raises(jsonpath.JSONPathError, match=problem.replace("(", r"\(").replace("[", r"\[")):
        jsonpath.render(jsonpath.parse(template), POD)


@pytest.mark.parametrize("text", [".status.phase", "status.phase", "{.status.phase}", "{status.phase}"])
def test_the_braces_of_a_single_path_may_be_left_out(text: str) -> None:
    assert jsonpath.relax(text) == "{.status.phase}"


def test_more_than_a_single_path_cannot_be_relaxed() -> None:
    with pytest.raises(jsonpath.JSONPathError, match="expected 'name1"):
        jsonpath.relax("{.a}{.b}")


@given(st.text(alphabet="{}[]().*?@$'\"\\ \n,:ab01-=<>!rangetdu", max_size=40))
def test_no_template_ends_in_anything_but_text_or_an_error_of_its_own(template: str) -> None:
    try:
        jsonpath.render(jsonpath.parse(template), POD)
    except jsonpath.JSONPathError:
        pass
