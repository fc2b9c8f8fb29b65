"""Kubeconfigs as others write them, and what is wrong with some."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml

from minipod.client.kubeconfig import Context, KubeconfigError, load
from minipod.pki.directory import PkiDirectory


def read(tmp_path: Path, cluster: dict[str, Any], user: Any = None, **context: str) -> Context:
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", **context}}],
        "clusters": [{"name": "k", "cluster": cluster}],
        "users": [{"name": "u", "user": user or {}}],
    }
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(document))
    return load(file)


def test_files_are_relative_to_the_kubeconfig(tmp_path: Path) -> None:
    pki = PkiDirectory(tmp_path)
    pair = pki.client("ann", [])
    (tmp_path / "ann.crt").write_bytes(pair.certificate)
    (tmp_path / "ann.key").write_bytes(pair.key)
    found = read(
        tmp_path,
        {"server": "https://[::1]:6443/k8s/", "certificate-authority": "ca.crt", "tls-server-name": "n"},
        {"client-certificate": "ann.crt", "client-key": "ann.key"},
        namespace="team",
    )
    server = found.server
    assert (server.host, server.port, server.path, server.name) == ("::1", 6443, "/k8s", "n")
    assert (server.address, found.namespace) == ("https://[::1]:6443/k8s", "team")
    assert len(server.context.get_ca_certs()) == 1


def test_a_token_goes_with_each_request(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")
    assert read(tmp_path, {"server": "https://h"}, {"tokenFile": "token"}).server.headers == {
        "Authorization": "Bearer abc"
    }


def test_trust_is_given_up_only_when_asked(tmp_path: Path) -> None:
    assert read(tmp_path, {"server": "https://h"}).server.context.verify_mode is ssl.CERT_REQUIRED
    careless = read(tmp_path, {"server": "https://h", "insecure-skip-tls-verify": True}).server.context
    assert careless.verify_mode is ssl.CERT_NONE


@pytest.mark.parametrize(
    ("cluster", "user", "why"),
    [
        ({"server": "http://h"}, {}, "expected a URL such as https://"),
        ({}, {}, "expected a URL such as https://"),
        ({"server": "https://h:port"}, {}, "[Pp]ort"),
        ({"server": "https://h", "certificate-authority-data": "%"}, {}, "expected base64"),
        ({"server": "https://h", "certificate-authority-data": "YQ=="}, {}, "config: "),
        ({"server": "https://h", "certificate-authority": "none.crt"}, {}, "cannot read"),
        ({"server": "https://h"}, {"exec": {"command": "aws"}}, "exec is not supported"),
        (
            {"server": "https://h"},
            {"client-certificate-data": "YQ==", "client-key-data": "YQ=="},
            "client certificate and key cannot be used",
        ),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any], why: str
) -> None:
    with pytest.raises(KubeconfigError, match=why):
        read(tmp_path, cluster, user)


@pytest.mark.parametrize(
    "text", ["", "[]", "a: [", "current-context: x", "current-context: x\ncontexts: [1]"]
)
def test_what_is_no_kubeconfig_is_said(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(KubeconfigError, match="config: "):
        load(file)
