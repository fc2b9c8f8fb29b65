"""apply and create against a real API server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.apiserver.serving import ServerThread
from tests.unit.cli.acting import apply, pod
from tests.unit.cli.conftest import Cli, Done


def test_apply_creates_patches_and_knows_when_there_is_nothing_to_do(cli: Cli) -> None:
    manifest = pod("a1")
    assert apply(cli, manifest) == Done(0, "pod/a1 created\n", "")
    assert apply(cli, manifest) == Done(0, "pod/a1 unchanged\n", "")
    manifest["metadata"]["labels"] = {"new": "label"}
    assert apply(cli, manifest) == Done(0, "pod/a1 configured\n", "")
    found = json.loads(cli("get", "pod", "a1", "-o", "json").out)
    assert found["metadata"]["labels"] == {"new": "label"}
    assert apply(cli, manifest).out == "pod/a1 unchanged\n"


def test_apply_of_what_the_server_spells_otherwise_changes_nothing(cli: Cli) -> None:
    manifest = pod("a5")
    manifest["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "1000m"}}
    assert apply(cli, manifest).out == "pod/a5 created\n"
    assert apply(cli, manifest).out == "pod/a5 unchanged\n"


def test_apply_leaves_alone_what_others_set(cli: Cli, server: ServerThread) -> None:
    manifest = pod("a2")
    apply(cli, manifest)
    with server.client() as api:
        api.patch("/api/v1/namespaces/default/pods/a2", {"metadata": {"labels": {"other": "x"}}})
    manifest["metadata"]["labels"]["mine"] = "y"
    apply(cli, manifest)
    labels = json.loads(cli("get", "pod", "a2", "-o", "json").out)["metadata"]["labels"]
    assert labels == {"app": "a2", "other": "x", "mine": "y"}


def test_apply_of_what_was_not_applied_warns(cli: Cli) -> None:
    cli("create", "-f", "-", stdin=json.dumps(pod("a3")))
    done = apply(cli, pod("a3"))
    assert done.out == "pod/a3 configured\n"
    assert done.err.startswith("Warning: pod/a3 was not made by apply")


def test_what_cannot_be_changed_is_replaced_only_by_force(cli: Cli) -> None:
    apply(cli, pod("a4"))
    before = cli("get", "pod", "a4", "-o", "jsonpath={.metadata.uid}").out
    changed = pod("a4", hostNetwork=True)
    refused = apply(cli, changed)
    assert refused.code == 1
    assert "may not change fields other than" in refused.err
    assert "with --force, apply deletes the object" in refused.err
    assert apply(cli, changed, flags=("--force",)) == Done(0, "pod/a4 configured\n", "")
    assert cli("get", "pod", "a4", "-o", "jsonpath={.metadata.uid}").out != before


def test_dry_runs_change_nothing(cli: Cli) -> None:
    assert apply(cli, pod("d1"), flags=("--dry-run=server",)).out == "pod/d1 created (server dry run)\n"
    assert apply(cli, pod("d1"), flags=("--dry-run",)).out == "pod/d1 created (dry run)\n"
    assert cli("get", "pod", "d1").code == 1
    assert (
        cli("create", "-f", "-", "--dry-run=client", "-o", "name", stdin=json.dumps(pod("d1"))).out
        == "pod/d1\n"
    )
    assert cli("run", "d1", "--image=x", "--dry-run=client", "-o", "jsonpath={.kind}").out == "Pod"


def test_a_bad_object_is_refused_with_its_place_and_the_others_go_through(cli: Cli, tmp_path: Path) -> None:
    bad = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: bad\nspec:\n  containers:\n  - name: c\n    imagee: x\n"
    (tmp_path / "bad.yaml").write_text(bad)
    (tmp_path / "good.yaml").write_text(json.dumps(pod("good")))
    done = cli("apply", "-f", str(tmp_path))
    assert done.code == 1
    assert done.out == "pod/good created\n"
    assert "spec.containers[0].imagee: unknown field, did you mean image?" in done.err
    assert f"{tmp_path}/bad.yaml:8:5: spec.containers[0].imagee" in done.err


def test_nothing_is_sent_when_a_file_is_broken(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(json.dumps(pod("never")))
    (tmp_path / "b.yaml").write_text("kind: Pod\n  name: x\n")
    done = cli("apply", "-f", str(tmp_path))
    assert done.code == 1
    assert done.err.startswith(f"error: {tmp_path}/b.yaml:2:7: mapping values are not allowed")
    assert cli("get", "pod", "never").code == 1


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (
            {"apiVersion": "v1", "kind": "Podd", "metadata": {"name": "x"}},
            'no matches for kind "Podd" in version "v1"',
        ),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {}}, "metadata.name is not set"),
        ({"kind": "Pod"}, "apiVersion is not set"),
        (pod("Bad_Name"), "metadata.name: Invalid value"),
        ({**pod("x"), "metadata": {"name": "x", "namespace": "nowhere"}}, 'namespaces "nowhere" not found'),
    ],
)
def test_manifests_that_cannot_be(cli: Cli, manifest: dict[str, Any], message: str) -> None:
    done = apply(cli, manifest)
    assert done.code == 1
    assert message in done.err


def test_fields_that_are_not_acted_on_are_warned_of(cli: Cli) -> None:
    manifest = pod("warned")
    manifest["spec"]["containers"][0]["envFrom"] = [{"secretRef": {"name": "s"}}]
    done = apply(cli, manifest)
    assert done.code == 0
    assert done.err.startswith("Warning: spec.containers[0].envFrom")


def test_create_refuses_what_is_there(cli: Cli) -> None:
    assert cli("create", "-f", "-", stdin=json.dumps(pod("c1"))).out == "pod/c1 created\n"
    done = cli("create", "-f", "-", stdin=json.dumps(pod("c1")))
    assert done.code == 1
    assert done.err == (
        'Error from server (AlreadyExists): error when creating "standard input": pods "c1" already exists\n'
    )
    generated = {**pod("x"), "metadata": {"generateName": "gen-"}}
    assert cli("create", "-f", "-", stdin=json.dumps(generated)).out.startswith("pod/gen-")
    assert cli("create", "namespace", "Bad_Name").code == 1
