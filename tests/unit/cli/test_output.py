"""Tables, custom columns, YAML, JSON and sorting."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipod.api.documents import parse
from minipod.cli.errors import CommandError
from minipod.cli.output import columns
from minipod.cli.output.objects import as_list, object_label, renderer
from minipod.cli.output.sorting import sort_by
from minipod.cli.output.tables import TableOptions, TablePrinter, cell_text
from minipod.cli.output.yaml_text import yaml_text
from tests.unit.cli.samples import expected, objects

TABLE: dict[str, Any] = {
    "kind": "Table",
    "columnDefinitions": [
        {"name": "Name", "format": "name"},
        {"name": "Ready"},
        {"name": "Status"},
        {"name": "IP", "priority": 1},
    ],
    "rows": [
        {
            "cells": ["web", "1/1", "Running", "10.64.0.5"],
            "object": {"metadata": {"name": "web", "namespace": "default", "labels": {"b": "2", "a": "1"}}},
        },
        {
            "cells": ["a-longer-name", "0/1", "Pending", None],
            "object": {"metadata": {"name": "a-longer-name", "namespace": "other"}},
        },
    ],
}


def test_a_table_shows_its_important_columns() -> None:
    assert TablePrinter(TableOptions()).render(TABLE) == (
        "NAME            READY   STATUS\nweb             1/1     Running\na-longer-name   0/1     Pending\n"
    )


def test_wide_shows_all_of_them() -> None:
    assert TablePrinter(TableOptions(wide=True, headers=False)).render(TABLE) == (
        "web             1/1   Running   10.64.0.5\na-longer-name   0/1   Pending   <none>\n"
    )


def test_namespaces_kinds_and_labels_stand_around_the_columns() -> None:
    options = TableOptions(namespaces=True, show_labels=True, label_columns=("x.io/b", "a"), kind="pod")
    assert TablePrinter(options).render(TABLE) == (
        "NAMESPACE   NAME                READY   STATUS    B     A     LABELS\n"
        "default     pod/web             1/1     Running         1     a=1,b=2\n"
        "other       pod/a-longer-name   0/1     Pending               <none>\n"
    )


def test_a_watch_names_its_columns_once_and_keeps_their_width() -> None:
    printer = TablePrinter(TableOptions())
    printer.render(TABLE)
    later = {"rows": [TABLE["rows"][0]]}
    assert printer.render(later) == "web             1/1     Running\n"


def test_a_table_without_rows_is_nothing() -> None:
    assert TablePrinter(TableOptions()).render({**TABLE, "rows": []}) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [("a\nb", "a..."), (None, "<none>"), (True, "true"), ("x\ty", "x y"), ("\x1b[31m", "^[[31m"), (7, "7")],
)
def test_a_cell_is_one_harmless_line(value: Any, text: str) -> None:
    assert cell_text(value) == text


def test_custom_columns_are_kubectls() -> None:
    spec = "NAME:.metadata.name,SEL:.spec.nodeSelector,C:.spec.containers[*].name,X:.x,P:.spec.containers[0].ports"
    pods = [pod for name in ("bare", "ended", "rich") for pod in objects(f"pod-{name}")]
    assert columns.render_columns(columns.parse_columns(spec), pods) == expected("columns.txt")


@pytest.mark.parametrize("spec", ["", "NAME", "NAME:", ":x", "NAME:{.a}{.b}"])
def test_custom_columns_that_are_none(spec: str) -> None:
    with pytest.raises(ValueError if spec.startswith("NAME:{") else CommandError):
        columns.parse_columns(spec)


def test_columns_from_a_file() -> None:
    parsed = columns.read_columns("NAME   IP\n.metadata.name  .status.podIP\n")
    assert columns.render_columns(parsed, objects("pod-rich")) == "NAME   IP\nrich   10.64.0.5\n"


def test_yaml_is_kubectls() -> None:
    [pod] = objects("pod-rich")
    assert yaml_text(pod) == expected("pod-rich.yaml")


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=30), max_size=4))
def test_yaml_reads_back_as_what_it_was(data: dict[str, str]) -> None:
    text = yaml_text({"kind": "x", "data": data})
    try:
        [document] = parse(text, "x")
    except ValueError:
        # YAML cannot hold every character that a Python string can.
        assert any(
            ord(c) < 32 or 126 < ord(c) < 160 or ord(c) > 0xD7FF
            for value in (*data, *data.values())
            for c in value
        )
        return
    assert document.value["data"] == data


@pytest.mark.parametrize(
    "text", ["on", "1", "1e3", "0o17", "017", "null", "~", "y", "22:22", "2026-01-01", "1_000", ""]
)
def test_strings_that_look_like_something_else_are_quoted(text: str) -> None:
    assert yaml_text({"a": text}) == f'a: "{text}"\n'


def test_names() -> None:
    pods = objects("pod-rich") + objects("pod-bare")
    assert renderer("name")(as_list(pods)) == "pod/rich\npod/bare\n"
    assert (
        object_label({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}})
        == "deployment.apps/x"
    )


def test_managed_fields_are_left_out() -> None:
    pod = {"kind": "Pod", "metadata": {"name": "x", "managedFields": [{}]}}
    assert "managedFields" not in renderer("json")(as_list([pod]))
    assert "managedFields" in renderer("json", managed_fields=True)(pod)


def test_an_unknown_format_is_told_with_the_known_ones() -> None:
    with pytest.raises(CommandError, match=r'unknown output format "xml"; there are json\|yaml'):
        renderer("xml")


@pytest.mark.parametrize(
    ("values", "order"),
    [
        (["web10", "web2", "web1"], ["web1", "web2", "web10"]),
        (["1Gi", "100Mi", "2"], ["2", "100Mi", "1Gi"]),
        ([10, 9, 2.5], [2.5, 9, 10]),
        ([True, False], [False, True]),
        (["b", None, "a"], [None, "a", "b"]),
    ],
)
def test_sorting(values: list[Any], order: list[Any]) -> None:
    things = [{} if value is None else {"k": value} for value in values]
    assert [thing.get("k") for thing in sort_by(".k", things, lambda thing: thing)] == order


def test_sorting_by_a_field_that_nothing_has() -> None:
    with pytest.raises(CommandError, match=r'has the field "\.nope"'):
        sort_by(".nope", [{"a": 1}], lambda thing: thing)
