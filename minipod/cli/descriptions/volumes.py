"""The volumes of a pod, each as what it is."""

from __future__ import annotations

from typing import Any

from minipod.cli.descriptions.text import Text

Obj = dict[str, Any]

ABOUT = {
    "emptyDir": "EmptyDir (a temporary directory that shares a pod's lifetime)",
    "hostPath": "HostPath (bare host directory volume)",
    "configMap": "ConfigMap (a volume populated by a ConfigMap)",
    "secret": "Secret (a volume populated by a Secret)",
    "persistentVolumeClaim": "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
    "projected": "Projected (a volume that contains injected data from multiple sources)",
    "downwardAPI": "DownwardAPI (a volume populated by information about the pod)",
    "image": "Image (a container image or OCI artifact)",
}


def describe_volumes(text: Text, volumes: list[Obj]) -> None:
    if not volumes:
        text.field(0, "Volumes", "<none>")
        return
    text.line(0, "Volumes:")
    for volume in volumes:
        text.line(1, f"{volume.get('name', '')}:")
        kind = next((key for key in volume if key != "name"), "")
        text.field(2, "Type", ABOUT.get(kind, kind or "<unknown>"))
        for name, value in _details(kind, volume.get(kind) or {}):
            text.field(2, name, value)
        if kind == "downwardAPI":
            _items(text, (volume[kind] or {}).get("items") or [])


def _details(kind: str, source: Obj) -> list[tuple[str, Any]]:
    match kind:
        case "emptyDir":
            limit = source.get("sizeLimit")
            return [
                ("Medium", source.get("medium", "")),
                ("SizeLimit", limit if limit not in (None, "0") else "<unset>"),
            ]
        case "hostPath":
            return [("Path", source.get("path", "")), ("HostPathType", source.get("type", "<none>"))]
        case "configMap":
            return [("Name", source.get("name", "")), ("Optional", _bool(source.get("optional")))]
        case "secret":
            return [
                ("SecretName", source.get("secretName", "")),
                ("Optional", _bool(source.get("optional"))),
            ]
        case "persistentVolumeClaim":
            return [("ClaimName", source.get("claimName", "")), ("ReadOnly", _bool(source.get("readOnly")))]
        case "image":
            return [("Reference", source.get("reference", "")), ("PullPolicy", source.get("pullPolicy", ""))]
        case "projected":
            return [pair for part in source.get("sources") or () for pair in _projected(part)]
    return []


def _projected(part: Obj) -> list[tuple[str, Any]]:
    if token := part.get("serviceAccountToken"):
        return [("TokenExpirationSeconds", token.get("expirationSeconds", 3600))]
    if secret := part.get("secret"):
        return [("SecretName", secret.get("name", "")), ("SecretOptional", _nil(secret.get("optional")))]
    if config := part.get("configMap"):
        return [
            ("ConfigMapName", config.get("name", "")),
            ("ConfigMapOptional", _nil(config.get("optional"))),
        ]
    return [("DownwardAPI", "true")] if "downwardAPI" in part else []


def _items(text: Text, items: list[Obj]) -> None:
    text.line(2, "Items:")
    for item in items:
        source = item.get("fieldRef") or item.get("resourceFieldRef") or {}
        text.line(3, f"{source.get('fieldPath') or source.get('resource', '')} -> {item.get('path', '')}")


def _bool(value: Any) -> str:
    return str(bool(value)).lower()


def _nil(value: Any) -> str:
    return "<nil>" if value is None else _bool(value)
