"""Reading manifests: Kubernetes' YAML, and errors that point at the place."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.api.documents import DocumentError, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-01-01", "2026-01-01"),
        ("22:22", "22:22"),
        ("0755", 493),
        ("0o17", 15),
        ("0x1F", 31),
        ("-3", -3),
        ("1_000", 1000),
        ("09", 9),
        ("1e3", 1000),
        ("1.5e+3", 1500),
        (".5", 0.5),
        ("yes", True),
        ("Off", False),
        ("y", "y"),
        ("~", None),
        ("", None),
        ("'12'", "12"),
        ('"on"', "on"),
        ("!!str 12", "12"),
        ("100m", "100m"),
        ("[1, a, null]", [1, "a", None]),
    ],
)
def test_a_scalar_is_what_kubernetes_takes_it_for(text: str, value: Any) -> None:
    assert parse(f"a: {text}\n", "f.yaml")[0].value == {"a": value}


def test_keys_are_strings() -> None:
    assert parse("1: a\ntrue: b\n", "f.yaml")[0].value == {"1": "a", "true": "b"}


def test_merge_keys_give_way_to_the_mappings_own() -> None:
    document = parse("x: &a {b: 1, c: 2}\ny:\n  b: 3\n  <<: *a\n", "f.yaml")[0]
    assert document.value["y"] == {"b": 3, "c": 2}


def test_documents_and_lists_come_apart_with_the_line_each_begins_at() -> None:
    text = "---\nkind: Pod\n---\n# nothing\n---\nkind: List\nitems:\n- kind: Node\n- kind: Event\n"
    assert [(d.value["kind"], d.line) for d in parse(text, "f.yaml")] == [
        ("Pod", 2),
        ("Node", 8),
        ("Event", 9),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: b: c\n", "f.yaml:1:5: mapping values are not allowed"),
        ("a:\n\tb: c\n", "f.yaml:2:1: "),
        ("- 1\n", "f.yaml:1:1: expected an object with apiVersion and kind, got a list"),
        ("a: 1\nb: 1\na: 2\n", 'f.yaml:3:1: key "a" is already set in this mapping'),
        ("a: &x [*x]\n", "f.yaml:1:4: an alias refers to the value it is part of"),
        ("a: .nan", "f.yaml:1:4: '.nan' (float) has no counterpart in JSON"),
        ("a: 1e400", "f.yaml:1:4: '1e400'"),
        ("a: !!binary aGk=", "f.yaml:1:4: 'aGk=' (binary) has no counterpart in JSON"),
        ("a: !python/object x", "f.yaml:1:4: "),
        ("? [a]\n: b\n", "f.yaml:1:3: a key must be a string"),
        ("a: " + "[" * 5000, "f.yaml"),
        ("a: \x00", "f.yaml: "),
    ],
)
def test_an_error_begins_with_the_place(text: str, message: str) -> None:
    with pytest.raises(DocumentError) as raised:
        parse(text, "f.yaml")
    assert str(raised.value).startswith(message)


def test_a_syntax_error_shows_the_line_with_a_caret() -> None:
    with pytest.raises(DocumentError, match=r"\n  a: b: c\n      \^$"):
        parse("a: b: c\n", "f.yaml")


def test_aliases_of_aliases_are_stopped_before_they_fill_memory() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(DocumentError, match="once its aliases are followed"):
        parse("\n".join(lines), "f.yaml")


def test_a_field_is_found_in_the_text() -> None:
    text = "apiVersion: v1\nspec:\n  containers:\n  - name: x\n    imagee: y\n"
    document = parse(text, "f.yaml")[0]
    assert document.locate("spec.containers[0].imagee") == (5, 5)
    assert document.locate("spec.containers[0].ports[1]") == (4, 5)
    assert document.locate("metadata.name") is None
