"""A kubeconfig of one's own, and one among others."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from minipod.cli.errors import CommandError
from minipod.cli.kubeconfig import kubeconfig, merged, server_url, write


@pytest.mark.parametrize(
    ("host", "node_ip", "url"),
    [
        ("127.0.0.1", "", "https://127.0.0.1:6443"),
        ("0.0.0.0", "192.168.56.10", "https://192.168.56.10:6443"),
        ("0.0.0.0", "", "https://127.0.0.1:6443"),
        ("::1", "", "https://[::1]:6443"),
    ],
)
def test_the_server_is_where_it_can_be_reached(host: str, node_ip: str, url: str) -> None:
    assert server_url(host, 6443, node_ip=node_ip) == url


def made(server: str = "https://a:1") -> dict[str, object]:
    return kubeconfig("minipod", server, authority=b"ca", certificate=b"cert", key=b"key")


def test_others_stay_and_the_own_entry_is_replaced() -> None:
    old = {
        "apiVersion": "v1",
        "clusters": [{"name": "other", "cluster": {}}, {"name": "minipod", "cluster": {"server": "old"}}],
        "users": None,
        "current-context": "other",
        "extensions": [{"name": "x"}],
    }
    found = merged(old, made())
    assert [c["name"] for c in found["clusters"]] == ["other", "minipod"]
    assert found["clusters"][1]["cluster"]["server"] == "https://a:1"
    assert [u["name"] for u in found["users"]] == ["minipod"]
    assert (found["current-context"], found["extensions"]) == ("minipod", [{"name": "x"}])


def test_it_is_written_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "kube" / "config"
    write(file, made())
    assert file.stat().st_mode & 0o777 == 0o600
    assert yaml.safe_load(file.read_text()) == made()
    assert [p.name for p in file.parent.iterdir()] == ["config"]


def test_where_it_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match="cannot write"):
        write(tmp_path / "file" / "config", made())
