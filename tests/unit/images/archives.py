"""Making tar archives, images and layers for the tests: honest ones and traps."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

OCI = "application/vnd.oci.image"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def member(
    name: str,
    data: bytes = b"",
    *,
    kind: bytes = tarfile.REGTYPE,
    link: str = "",
    mode: int = 0o644,
    mtime: float = 1000,
    owner: tuple[int, int] | None = None,
    device: tuple[int, int] = (0, 0),
    xattrs: Mapping[str, bytes] | None = None,
) -> tuple[tarfile.TarInfo, bytes]:
    """One tar member, owned by whoever runs the test unless `owner` says otherwise."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.mtime = kind, link, mode, mtime
    info.size = len(data)
    info.uid, info.gid = owner or (os.getuid(), os.getgid())
    info.devmajor, info.devminor = device
    info.pax_headers = {
        f"SCHILY.xattr.{k}": v.decode("utf-8", "surrogateescape") for k, v in (xattrs or {}).items()
    }
    return info, data


def directory(name: str, mode: int = 0o755, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, kind=tarfile.DIRTYPE, mode=mode, **fields)


def symlink(name: str, target: str, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, kind=tarfile.SYMTYPE, link=target, mode=0o777, **fields)


def hardlink(name: str, target: str, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, kind=tarfile.LNKTYPE, link=target, **fields)


def tar(*members: tuple[tarfile.TarInfo, bytes], style: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=style, errors="surrogateescape") as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def encode(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


@dataclass
class MadeImage:
    """An image as its blobs. `layers` are plain tars; `compress` makes their blobs."""

    layers: Sequence[bytes]
    config: Mapping[str, Any] = field(default_factory=lambda: {"Cmd": ["sh"]})
    compressed: bool = False
    architecture: str = ARCHITECTURE
    os: str = "linux"
    extra: Mapping[str, Any] = field(default_factory=dict)
    """More keys of the image configuration."""

    @property
    def layer_blobs(self) -> list[bytes]:
        return [gzip.compress(layer, mtime=0) if self.compressed else layer for layer in self.layers]

    @property
    def config_blob(self) -> bytes:
        return encode(
            {
                "architecture": self.architecture,
                "os": self.os,
                "config": self.config,
                "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in self.layers]},
                **self.extra,
            }
        )

    @property
    def manifest(self) -> dict[str, Any]:
        kind = "layer.v1.tar+gzip" if self.compressed else "layer.v1.tar"
        return {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": descriptor(self.config_blob, f"{OCI}.config.v1+json"),
            "layers": [descriptor(blob, f"{OCI}.{kind}") for blob in self.layer_blobs],
        }

    @property
    def blobs(self) -> list[bytes]:
        return [*self.layer_blobs, self.config_blob, encode(self.manifest)]

    def described(self, name: str = "", **more: Any) -> dict[str, Any]:
        annotations = {"org.opencontainers.image.ref.name": name} if name else {}
        return descriptor(encode(self.manifest), f"{OCI}.manifest.v1+json", annotations=annotations, **more)


def descriptor(data: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(data), "size": len(data), **more}


def oci_archive(
    descriptors: Sequence[Mapping[str, Any]],
    blobs: Iterable[bytes],
    *,
    files: Mapping[str, bytes] | None = None,
) -> bytes:
    """An OCI archive: index.json naming `descriptors`, and the blobs. `files` adds or replaces members by path."""
    content = {
        "oci-layout": encode({"imageLayoutVersion": "1.0.0"}),
        "index.json": encode({"schemaVersion": 2, "manifests": list(descriptors)}),
        **{f"blobs/sha256/{digest(b)[7:]}": b for b in blobs},
        **(files or {}),
    }
    return tar(*(member(path, data) for path, data in content.items()))


def simple_oci_archive(name: str = "docker.io/library/made:1", **fields: Any) -> bytes:
    image = MadeImage(**fields)
    return oci_archive([image.described(name)], image.blobs)


def docker_archive(image: MadeImage, *names: str) -> bytes:
    """What `docker save` wrote before Docker 25."""
    config = f"{digest(image.config_blob)[7:]}.json"
    paths = [f"{i:064x}/layer.tar" for i in range(len(image.layers))]
    listing = [{"Config": config, "RepoTags": list(names) or None, "Layers": paths}]
    members = [member(path, blob) for path, blob in zip(paths, image.layer_blobs, strict=True)]
    return tar(*members, member(config, image.config_blob), member("manifest.json", encode(listing)))
