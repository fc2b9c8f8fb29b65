"""Volumes and mounts: refused for what Kubernetes refuses, in its words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.pods import container, pod, refusal

Case = tuple[str, list[dict[str, Any]], dict[str, Any], str]
"""What is wrong, the containers, the rest of the spec, and what is said about it."""

VOLUMES: list[Case] = [
    (
        "mount without volume",
        [container(volumeMounts=[{"name": "v", "mountPath": "/v"}])],
        {},
        'spec.containers[0].volumeMounts[0].name: Not found: "v"',
    ),
    (
        "same mount path",
        [container(volumeMounts=[{"name": "v", "mountPath": "/v"}, {"name": "v", "mountPath": "/v"}])],
        {"volumes": [{"name": "v"}]},
        'spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/v": must be unique',
    ),
    (
        "no mount path",
        [container(volumeMounts=[{"name": "v"}])],
        {"volumes": [{"name": "v"}]},
        "spec.containers[0].volumeMounts[0].mountPath: Required value",
    ),
    (
        "subPath upwards",
        [container(volumeMounts=[{"name": "v", "mountPath": "/v", "subPath": "a/../.."}])],
        {"volumes": [{"name": "v"}]},
        "spec.containers[0].volumeMounts[0].subPath: Invalid value: \"a/../..\": must not contain '..'",
    ),
    (
        "absolute subPathExpr",
        [container(volumeMounts=[{"name": "v", "mountPath": "/v", "subPathExpr": "/a"}])],
        {"volumes": [{"name": "v"}]},
        'spec.containers[0].volumeMounts[0].subPathExpr: Invalid value: "/a": must be a relative path',
    ),
    (
        "subPath and subPathExpr",
        [container(volumeMounts=[{"name": "v", "mountPath": "/v", "subPath": "a", "subPathExpr": "b"}])],
        {"volumes": [{"name": "v"}]},
        'spec.containers[0].volumeMounts[0].subPathExpr: Invalid value: "b": subPathExpr and subPath are mutually '
        "exclusive",
    ),
    (
        "propagation",
        [container(volumeMounts=[{"name": "v", "mountPath": "/v", "mountPropagation": "Bidirectional"}])],
        {"volumes": [{"name": "v"}]},
        "spec.containers[0].volumeMounts[0].mountPropagation: Forbidden: Bidirectional mount propagation is available "
        "only to privileged containers",
    ),
    (
        "recursive read-only",
        [container(volumeMounts=[{"name": "v", "mountPath": "/v", "recursiveReadOnly": "Enabled"}])],
        {"volumes": [{"name": "v"}]},
        "spec.containers[0].volumeMounts[0].recursiveReadOnly: Forbidden: may only be specified when readOnly is true",
    ),
    ("volume without name", [container()], {"volumes": [{}]}, "spec.volumes[0].name: Required value"),
    (
        "same volume name",
        [container()],
        {"volumes": [{"name": "v"}, {"name": "v"}]},
        'spec.volumes[1].name: Duplicate value: "v"',
    ),
    (
        "two sources",
        [container()],
        {"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/x"}}]},
        "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
    ),
    (
        "hostPath without path",
        [container()],
        {"volumes": [{"name": "v", "hostPath": {}}]},
        "spec.volumes[0].hostPath.path: Required value",
    ),
    (
        "hostPath upwards",
        [container()],
        {"volumes": [{"name": "v", "hostPath": {"path": "/a/../b"}}]},
        "spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
    ),
    (
        "hostPath relative",
        [container()],
        {"volumes": [{"name": "v", "hostPath": {"path": "x"}}]},
        'spec.volumes[0].hostPath.path: Invalid value: "x": must be an absolute path',
    ),
    (
        "hostPath relative and upwards",
        [container()],
        {"volumes": [{"name": "v", "hostPath": {"path": "../x"}}]},
        "spec.volumes[0].hostPath.path: Invalid value: \"../x\": must not contain '..'",
    ),
    (
        "hostPath type",
        [container()],
        {"volumes": [{"name": "v", "hostPath": {"path": "/a", "type": "Dir"}}]},
        'spec.volumes[0].hostPath.type: Unsupported value: "Dir": supported values: "", "BlockDevice", "CharDevice", '
        '"Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"',
    ),
    (
        "negative size",
        [container()],
        {"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "-1"}}]},
        'spec.volumes[0].emptyDir.sizeLimit: Invalid value: "-1": must be greater than or equal to 0',
    ),
    (
        "medium",
        [container()],
        {"volumes": [{"name": "v", "emptyDir": {"medium": "Disk"}}]},
        'spec.volumes[0].emptyDir.medium: Unsupported value: "Disk": supported values: "", "HugePages", "Memory"',
    ),
    (
        "secret without name",
        [container()],
        {"volumes": [{"name": "v", "secret": {"defaultMode": 0o1000}}]},
        "[spec.volumes[0].secret.secretName: Required value, spec.volumes[0].secret.defaultMode: Invalid value: 512: "
        "must be a number between 0 and 0777 (octal), both inclusive]",
    ),
    (
        "key path",
        [container()],
        {"volumes": [{"name": "v", "configMap": {"name": "m", "items": [{"key": "k", "path": "..a"}]}}]},
        "spec.volumes[0].configMap.items[0].path: Invalid value: \"..a\": must not start with '..'",
    ),
    (
        "projection onto the same file",
        [container()],
        {
            "volumes": [
                {
                    "name": "v",
                    "projected": {
                        "sources": [
                            {"secret": {"name": "s", "items": [{"key": "k", "path": "f"}]}},
                            {"configMap": {"name": "m", "items": [{"key": "k", "path": "f"}]}},
                        ]
                    },
                }
            ]
        },
        'spec.volumes[0].projected: Invalid value: "f": conflicting duplicate paths',
    ),
    (
        "device of no claim",
        [container(volumeDevices=[{"name": "v", "devicePath": "/dev/x"}])],
        {"volumes": [{"name": "v"}]},
        'spec.containers[0].volumeDevices[0].name: Invalid value: "v": can only use volume source type of '
        "PersistentVolumeClaim or Ephemeral for block mode",
    ),
]


@pytest.mark.parametrize(
    ("containers", "spec", "said"),
    [pytest.param(containers, spec, said, id=name) for name, containers, spec, said in VOLUMES],
)
def test_one_mistake_is_one_message(
    containers: list[dict[str, Any]], spec: dict[str, Any], said: str
) -> None:
    assert refusal(pod(*containers, **spec)) == said
