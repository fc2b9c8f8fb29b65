"""The OCI documents: what is accepted, and what is refused with which words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipod.images import oci
from minipod.images.content import Content, choose, read_content
from minipod.images.errors import ImageError, InvalidImageError, UnsupportedImageError
from minipod.images.oci import Descriptor, Platform
from tests.unit.images.archives import OCI, MadeImage, descriptor, digest, encode, member, tar

HOST = Platform("amd64", "linux")
SHA = "sha256:" + "a" * 64


def image(**fields: Any) -> MadeImage:
    return MadeImage(layers=[tar(member("a")), tar(member("b"))], architecture="amd64", **fields)


def read(target: dict[str, Any], *blobs: bytes, host: Platform = HOST) -> Content:
    known = {digest(blob): blob for blob in blobs}
    described = Descriptor(media_type=target["mediaType"], digest=target["digest"], size=target["size"])
    return read_content(described, lambda d, what: known[d.digest], host)


def read_manifest(manifest: object, *blobs: bytes) -> Content:
    data = encode(manifest)
    return read(descriptor(data, oci.MANIFEST), data, *blobs)


def test_an_image_is_read_down_to_its_configuration() -> None:
    made = image(config={"Cmd": ["sh"], "Env": None, "Healthcheck": {"Test": ["NONE"]}})
    content = read(made.described(), *made.blobs)
    assert content.configuration.config == {"Cmd": ["sh"], "Healthcheck": {"Test": ["NONE"]}}
    assert content.diff_ids == [digest(layer) for layer in made.layers]
    assert [d.digest for d in content.blobs] == [
        digest(encode(made.manifest)),
        digest(made.config_blob),
        *map(digest, made.layers),
    ]


def test_docker_s_media_types_are_read_too() -> None:
    made = image()
    manifest = made.manifest
    manifest["mediaType"] = oci.DOCKER_MANIFEST
    manifest["config"]["mediaType"] = oci.DOCKER_CONFIG
    for layer in manifest["layers"]:
        layer["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    data = encode(manifest)
    assert len(read(descriptor(data, oci.DOCKER_MANIFEST), data, made.config_blob).layers) == 2


def platform(architecture: str, variant: str = "", os: str = "linux") -> dict[str, str]:
    return {"architecture": architecture, "os": os, **({"variant": variant} if variant else {})}


def test_the_host_s_platform_is_chosen_from_an_index() -> None:
    made = image()
    other = {**descriptor(b"other", oci.MANIFEST), "platform": platform("arm64", "v8")}
    attestation = {**descriptor(b"att", oci.MANIFEST), "platform": platform("unknown", os="unknown")}
    inner = encode(
        {"schemaVersion": 2, "manifests": [other, attestation, made.described(platform=platform("amd64"))]}
    )
    outer = encode({"schemaVersion": 2, "manifests": [descriptor(inner, oci.DOCKER_INDEX)]})
    content = read(descriptor(outer, oci.INDEX), outer, inner, *made.blobs)
    assert [d.digest for d in content.documents] == [
        digest(outer),
        digest(inner),
        digest(encode(made.manifest)),
    ]
    assert content.target.digest == digest(outer)


@pytest.mark.parametrize(
    ("there", "host", "chosen"),
    [
        (["amd64"], "amd64", 0),
        (["amd64/v3", "amd64"], "amd64", 1),
        (["arm/v6", "arm/v7", "arm/v5"], "arm/v7", 1),
        (["arm/v5", "arm/v7", "arm/v6"], "arm/v6", 2),
        (["arm64", "arm64/v8"], "arm64/v8", 1),
        (["386", "arm64/v8", "amd64"], "amd64", 2),
    ],
)
def test_choosing(there: list[str], host: str, chosen: int) -> None:
    def parse(text: str) -> Platform:
        architecture, _, variant = text.partition("/")
        return Platform(architecture, "linux", variant or None)

    descriptors = [Descriptor(digest=str(i), size=0, platform=parse(text)) for i, text in enumerate(there)]
    assert choose(descriptors, parse(host)).digest == str(chosen)


def test_a_platform_that_is_not_there_is_named_with_those_that_are() -> None:
    descriptors = [
        Descriptor(digest=SHA, size=0, platform=Platform("arm64", "linux", "v8")),
        Descriptor(digest=SHA, size=0, platform=Platform("amd64", "windows")),
        Descriptor(digest=SHA, size=0, platform=Platform("amd64", "linux", "v4")),
    ]
    with pytest.raises(UnsupportedImageError) as caught:
        choose(descriptors, HOST)
    assert (
        str(caught.value)
        == "no image for linux/amd64; there is linux/amd64/v4, linux/arm64/v8, windows/amd64"
    )


def test_a_single_image_for_another_platform() -> None:
    made = MadeImage(layers=[tar(member("a"))], architecture="s390x")
    with pytest.raises(
        UnsupportedImageError, match="the image is for linux/s390x, this machine is linux/amd64"
    ):
        read(made.described(), *made.blobs)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schemaVersion": 1}, "schemaVersion is 1"),
        ({"schemaVersion": "2"}, "Expected `int`, got `str` at `schemaVersion`"),
        ({"schemaVersion": True}, "Expected `int`, got `bool`"),
        ({"config": None}, "at `config`"),
        ({"config": {"digest": SHA}}, "missing required field `size` at `config`"),
        ({"config": {**descriptor(b"", oci.CONFIG), "size": -1}}, "config: size is -1"),
        ({"config": {**descriptor(b"", oci.CONFIG), "size": 2.5}}, "Expected `int`"),
        (
            {"config": {**descriptor(b"", oci.CONFIG), "digest": "sha256:short"}},
            "config: digest is 'sha256:short'",
        ),
        (
            {"config": {**descriptor(b"", oci.CONFIG), "digest": "../../etc/passwd"}},
            "config: digest is '../../etc",
        ),
        (
            {"config": {**descriptor(b"", oci.CONFIG), "digest": "sha512:" + "a" * 128}},
            "only sha256 is supported",
        ),
        (
            {"config": descriptor(b"", "application/vnd.cncf.helm.config.v1+json")},
            "it is no container image",
        ),
        ({"layers": []}, "without layers"),
        ({"layers": None}, "without layers"),
        ({"layers": {}}, "Expected `array | null`, got `object` at `layers`"),
        ({"layers": [descriptor(b"", f"{OCI}.layer.v1.tar+encrypted")]}, "layers[0] is of type"),
        ({"layers": [descriptor(b"", f"{OCI}.layer.v1.tar")] * 501}, "layers has 501 entries"),
        ({"manifests": []}, "manifests does not belong"),
        ({"mediaType": oci.INDEX}, "says it is 'application/vnd.oci.image.index"),
    ],
)
def test_bad_manifests(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        read_manifest({**image().manifest, **change}, image().config_blob)
    assert reason in str(caught.value)
    assert "manifest sha256:" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rootfs": None}, "at `rootfs`"),
        ({"rootfs": {"type": "layers", "diff_ids": ["x"]}}, "rootfs.diff_ids[0] is 'x'"),
        ({"rootfs": {"type": "layers", "diff_ids": [SHA]}}, "has 1 entries, the manifest has 2 layers"),
        ({"rootfs": {"type": "layers", "diff_ids": None}}, "has 0 entries, the manifest has 2 layers"),
        ({"config": []}, "Expected `object | null`, got `array` at `config`"),
        ({"config": {"Env": "A=B"}}, "config: Expected `array | null`, got `str` at `Env`"),
        ({"config": {"Entrypoint": [1]}}, "Expected `str`, got `int` at `Entrypoint[0]`"),
        ({"config": {"Labels": {"a": 1}}}, "at `Labels[...]`"),
        ({"config": {"User": "a\0b"}}, "config.User has a NUL character"),
        ({"config": {"Cmd": ["ok", "a\0b"]}}, "config.Cmd has a NUL character"),
        ({"architecture": 7}, "at `architecture`"),
    ],
)
def test_bad_configurations(change: dict[str, Any], reason: str) -> None:
    made = image(extra=change)
    with pytest.raises(ImageError) as caught:
        read(made.described(), *made.blobs)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"\xff\xfe", "malformed"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"schemaVersion":2} {}', "trailing characters"),
        (b'{"schemaVersion":2,"mediaType":"\xff"}', "'utf-8' codec can't decode"),
        (b'{"schemaVersion":2,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b" " * (oci.DOCUMENT_MAX + 1), "the limit is 4194304"),
        (encode({"schemaVersion": 2, "layers": [], "config": {}}), "does not belong"),
    ],
)
def test_bad_json(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidImageError) as caught:
        oci.parse_index(data)
    assert reason in str(caught.value)
    assert str(caught.value).startswith("index.json")


def test_an_index_within_an_index_has_an_end() -> None:
    data = encode({"schemaVersion": 2, "manifests": []})
    blobs = []
    for _ in range(5):
        data = encode({"schemaVersion": 2, "manifests": [descriptor(data, oci.INDEX)]})
        blobs.append(data)
    with pytest.raises(InvalidImageError, match="nested more than 3 deep"):
        read(descriptor(data, oci.INDEX), *blobs)


def test_chain_ids() -> None:
    a, b = digest(b"a"), digest(b"b")
    assert oci.chain_ids([]) == []
    assert oci.chain_ids([a, b, a]) == [
        a,
        digest(f"{a} {b}".encode()),
        digest(f"{digest(f'{a} {b}'.encode())} {a}".encode()),
    ]


@pytest.mark.parametrize(
    ("created", "expected"),
    [
        ("2024-01-02T03:04:05.123456789Z", 1704164645123456),
        ("1970-01-01T00:00:00Z", 0),
        ("0001-01-01T00:00:00Z", 0),
        ("yesterday", 0),
        (None, 0),
    ],
)
def test_times(created: str | None, expected: int) -> None:
    configuration = oci.Configuration(rootfs=oci.RootFS(type="layers"), created=created)
    assert oci.created_us(configuration) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(SHA),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["schemaVersion", "config", "layers", "digest", "size", "mediaType", "rootfs", "diff_ids"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@settings(max_examples=50)
@given(json_values)
def test_any_json_is_read_or_refused(value: object) -> None:
    for parse in (oci.parse_index, oci.parse_manifest, oci.parse_configuration):
        try:
            parse(encode(value), "it")
        except ImageError:
            pass
