"""The committed Python types are exactly what the committed schema data says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from minipod.api import codec, core_v1, meta_v1, schema, shapes

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_types", ROOT / "scripts" / "generate_types.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_types_are_what_the_generator_makes_of_the_data(generator: ModuleType) -> None:
    rendered = generator.render()
    assert set(rendered) == {"core_v1", "meta_v1"}
    for module, text in rendered.items():
        assert (ROOT / "minipod" / "api" / f"{module}.py").read_text() == text, (
            f"{module}.py is stale: run scripts/generate_types.py render"
        )


def test_every_root_kind_is_in_the_data(generator: ModuleType) -> None:
    assert {generator._short(root) for root in generator.ROOTS} <= set(schema.definitions())


def test_the_data_holds_no_prose_and_no_dangling_reference() -> None:
    definitions = schema.definitions()
    aliases = set(vars(meta_v1))

    def check(node: Any) -> None:
        if isinstance(node, dict):
            reference = node.get("$ref")
            if isinstance(reference, str):
                assert reference in definitions or reference in aliases
            for key, value in node.items():
                if key == "properties":
                    for property_ in value.values():
                        assert "description" not in property_
                        check(property_)
                else:
                    check(value)

    for definition in definitions.values():
        check(definition)


def test_patch_strategies_are_kept() -> None:
    containers = schema.definition(core_v1.PodSpec)["properties"]["containers"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert containers["x-kubernetes-patch-strategy"] == "merge"
    ports = schema.definition(core_v1.Container)["properties"]["ports"]
    assert ports["x-kubernetes-list-map-keys"] == ["containerPort", "protocol"]


def test_every_field_of_the_schema_is_in_its_type() -> None:
    for name, definition in schema.definitions().items():
        module, _, title = name.rpartition(".")
        type_ = getattr({"core.v1": core_v1, "meta.v1": meta_v1}[module], title)
        assert set(type_.__struct_encode_fields__) == set(definition.get("properties", {})), name


@pytest.mark.parametrize("module", [core_v1, meta_v1], ids=["core_v1", "meta_v1"])
def test_every_type_can_be_made_empty_written_and_read_back(module: ModuleType) -> None:
    types = [
        item for item in vars(module).values() if isinstance(item, type) and issubclass(item, msgspec.Struct)
    ]
    assert len(types) > 20
    for type_ in types:
        made = type_()
        assert codec.decode(type_, codec.encode(made)) == made
        assert shapes.fields(type_) is not None


def test_kinds_need_no_none_checks() -> None:
    pod = core_v1.Pod()
    assert pod.spec.containers == []
    assert pod.status.conditions == []
    assert pod.metadata.labels == {}
    assert core_v1.PodTemplateSpec().spec.containers == []


def test_what_kubernetes_requires_is_always_written() -> None:
    written = codec.to_builtins(core_v1.ContainerStatus(name="c"))
    assert written == {"name": "c", "ready": False, "restartCount": 0, "image": "", "imageID": ""}
    assert codec.to_builtins(core_v1.PodList())["items"] == []
    assert codec.to_builtins(core_v1.Pod())["kind"] == "Pod"


def test_a_python_keyword_keeps_its_json_name() -> None:
    assert codec.encode(meta_v1.ListMeta(continue_="x")) == b'{"continue":"x"}'
