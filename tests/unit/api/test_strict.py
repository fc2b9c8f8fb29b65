"""Unknown fields and repeated keys are found and named."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.api import core_v1, errors, strict
from tests.unit.api.pods import container, manifest


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (manifest(), []),
        (
            manifest(container(imagee="x")),
            ["spec.containers[0].imagee: unknown field, did you mean image?"],
        ),
        (
            {**manifest(container(Env=[])), "Kind": "Pod", "zzz": 1},
            [
                "spec.containers[0].Env: unknown field, did you mean env?",
                "Kind: unknown field, did you mean kind?",
                "zzz: unknown field",
            ],
        ),
        (
            manifest(container(ports=[{"containerPort": 1}, {"containerport": 2}])),
            ["spec.containers[0].ports[1].containerport: unknown field, did you mean containerPort?"],
        ),
        (
            manifest(container(resources={"limits": {"anything/goes": 1}, "limit": {}})),
            ["spec.containers[0].resources.limit: unknown field, did you mean limits?"],
        ),
        (
            {"spec": {"securityContext": {"runAsuser": 1}}},
            ["spec.securityContext.runAsuser: unknown field, did you mean runAsUser?"],
        ),
        ({"metadata": {"managedFields": [{"fieldsV1": {"f:any": {}}}]}}, []),
        ({"spec": "not an object", "metadata": None}, []),
        ([], []),
    ],
)
def test_unknown_fields(value: Any, found: list[str]) -> None:
    assert strict.unknown_fields(core_v1.Pod, value) == found


def test_repeated_keys_are_named_and_the_last_one_counts() -> None:
    value, repeated = strict.load(
        b'{"a":1,"spec":{"containers":[{"name":"x"},{"name":"y","image":"i","name":"z","image":"j"}]},"a":2,"a":3}'
    )
    assert value["a"] == 3
    assert value["spec"]["containers"][1] == {"name": "z", "image": "j"}
    assert repeated == [
        "a: duplicate field",
        "spec.containers[1].name: duplicate field",
        "spec.containers[1].image: duplicate field",
    ]


@pytest.mark.parametrize(
    "data", [b"{", b"", b"\xff", b'{"a":NaN}', b"[" * 100_000, b'{"a":' * 500 + b"1" + b"}" * 500]
)
def test_text_that_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(errors.StatusError, match="cannot read the body as JSON"):
        strict.load(data)
