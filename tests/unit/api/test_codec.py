"""JSON <-> objects: nothing is lost, leniency is Kubernetes', errors name every path."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipod.api import codec, core_v1, meta_v1, shapes
from minipod.api.errors import StatusError
from minipod.api.shapes import Kind, Shape
from tests.unit.api.pods import container, manifest


def read(value: Any) -> core_v1.Pod:
    return codec.from_builtins(core_v1.Pod, value)


def message(value: Any) -> str:
    with pytest.raises(StatusError) as caught:
        read(value)
    assert caught.value.code == 400
    assert caught.value.reason == "BadRequest"
    return caught.value.message


def test_nulls_count_as_absent() -> None:
    data = b"""{"metadata":{"name":"p","creationTimestamp":null,"labels":null},
        "spec":{"containers":[{"name":"c","args":null,"resources":null,"stdin":null}],"volumes":null},"status":null}"""
    assert codec.decode(core_v1.Pod, data) == core_v1.Pod(
        metadata=meta_v1.ObjectMeta(name="p"),
        spec=core_v1.PodSpec(containers=[core_v1.Container(name="c")]),
    )


def test_a_null_inside_a_map_or_list_is_the_zero_value() -> None:
    pod = read({"metadata": {"labels": {"a": None}}, "spec": {"containers": [container(args=[None, "x"])]}})
    assert pod.metadata.labels == {"a": ""}
    assert pod.spec.containers[0].args == ["", "x"]


@pytest.mark.parametrize(
    ("number", "text"), [(1, "1"), (0.5, "500m"), (1073741824, "1073741824"), (1.5, "1500m")]
)
def test_quantities_may_be_numbers(number: float, text: str) -> None:
    pod = read(manifest(container(resources={"limits": {"cpu": number}})))
    resources = pod.spec.containers[0].resources
    assert resources is not None
    assert resources.limits == {"cpu": text}


def test_a_port_is_a_number_or_a_name() -> None:
    for port in (80, "http"):
        pod = read(manifest(container(livenessProbe={"tcpSocket": {"port": port}})))
        probe = pod.spec.containers[0].livenessProbe
        assert probe is not None
        assert probe.tcpSocket is not None
        assert probe.tcpSocket.port == port


def test_every_wrong_type_is_named() -> None:
    said = message(
        {
            "kind": "Pod",
            "metadata": {"labels": {"a": 1}},
            "spec": {
                "containers": [
                    {"name": 3, "ports": [{"containerPort": "80", "hostPort": 2**40}]},
                    {"env": [{"name": "A", "value": True}], "args": "x"},
                ]
            },
            "status": {"startTime": "yesterday"},
        }
    )
    assert said == (
        "cannot read this as a Pod: [metadata.labels[a]: expected string, got integer, "
        "spec.containers[0].name: expected string, got integer, "
        "spec.containers[0].ports[0].containerPort: expected integer, got string, "
        "spec.containers[0].ports[0].hostPort: expected a 32-bit integer, got 1099511627776, "
        "spec.containers[1].env[0].value: expected string, got boolean, "
        "spec.containers[1].args: expected list, got string, "
        'status.startTime: expected an RFC 3339 time such as 2026-01-02T03:04:05Z, got "yesterday"]'
    )


def test_one_wrong_type_stands_alone() -> None:
    assert message({"spec": {"containers": {}}}) == (
        "cannot read this as a Pod: spec.containers: expected list, got object"
    )


def test_a_flood_of_mistakes_is_cut() -> None:
    said = message({"spec": {"containers": [1] * 1000}})
    assert said.endswith(", and 980 more]")


@pytest.mark.parametrize("value", [[], "x", 1, None, True])
def test_an_object_must_be_an_object(value: Any) -> None:
    assert "expected object" in message(value)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'{"a":1}x', b"nul", '{"a":'])
def test_text_that_is_not_json_is_refused(data: bytes | str) -> None:
    with pytest.raises(StatusError, match="cannot read the body as JSON"):
        codec.decode(core_v1.Pod, data)


def test_a_boolean_is_no_number_and_no_quantity() -> None:
    assert "expected quantity, got boolean" in message(
        manifest(container(resources={"limits": {"cpu": True}}))
    )
    assert "expected integer, got boolean" in message({"spec": {"activeDeadlineSeconds": True}})


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_quantity_is_finite(number: float) -> None:
    """YAML knows such numbers."""
    said = message(manifest(container(resources={"limits": {"cpu": number}})))
    assert f"limits[cpu]: expected quantity, got {number}" in said


def test_a_copy_shares_nothing() -> None:
    pod = read(manifest())
    twin = codec.copy(pod)
    twin.spec.containers[0].args.append("x")
    twin.metadata.labels["a"] = "b"
    assert pod == read(manifest())


def test_input_is_left_as_it_was() -> None:
    value = manifest(container(resources={"limits": {"cpu": 1}}, args=None))
    read(value)
    assert value == manifest(container(resources={"limits": {"cpu": 1}}, args=None))


# ---- any object comes back as it was ----

_TEXT = st.text(st.characters(codec="utf-8"), max_size=6)


def _values(shape: Shape, depth: int) -> st.SearchStrategy[Any]:
    match shape.kind:
        case Kind.STRING:
            return _TEXT
        case Kind.QUANTITY:
            return st.sampled_from(["1", "100m", "1Gi"])
        case Kind.TIME:
            return st.sampled_from(["2026-01-02T03:04:05Z", "2026-12-31T23:59:60.123456+02:00"])
        case Kind.INTEGER:
            return st.integers(-(2 ** (shape.bits - 1)), 2 ** (shape.bits - 1) - 1)
        case Kind.BOOLEAN:
            return st.booleans()
        case Kind.INT_OR_STRING:
            return st.integers(0, 2**31 - 1) | _TEXT
        case Kind.MAP:
            assert shape.element is not None
            return st.dictionaries(_TEXT, _values(shape.element, depth - 1), max_size=2)
        case Kind.LIST:
            assert shape.element is not None
            return st.lists(_values(shape.element, depth - 1), max_size=2)
        case Kind.OBJECT:
            return _objects(shape, depth)
    return st.sampled_from([1, "x", {"a": []}])


def _objects(shape: Shape, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    assert shape.struct is not None
    known = shapes.fields(shape.struct)

    @st.composite
    def made(draw: st.DrawFn) -> dict[str, Any]:
        names = (
            draw(st.lists(st.sampled_from(sorted(known)), max_size=4, unique=True))
            if known and depth
            else []
        )
        return {name: draw(_values(known[name], depth - 1)) for name in names}

    return made()


@settings(max_examples=60, deadline=None)
@given(_objects(shapes.of(core_v1.Pod), 6))
def test_whatever_a_pod_says_survives_the_way_through(value: dict[str, Any]) -> None:
    pod = read(value)
    written = codec.encode(pod)
    assert codec.decode(core_v1.Pod, written) == pod
    assert _holds(codec.parse(written), value)


def _holds(written: Any, value: Any) -> bool:
    """Whether all of `value` is in `written`; empty maps and lists may be left out."""
    if isinstance(value, dict):
        return isinstance(written, dict) and all(
            _holds(written.get(key), item) for key, item in value.items() if item not in ({}, [])
        )
    if isinstance(value, list):
        return len(written) == len(value) and all(map(_holds, written, value))
    return bool(written == value)
