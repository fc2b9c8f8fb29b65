"""Whole command lines against a real API server, with a node that only plays one: nothing here needs root."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from minipod.api import core_v1
from minipod.api.scheme import PODS
from minipod.cli.deletion import wait_until_gone
from minipod.cli.main import run
from minipod.cli.session import Session
from minipod.cli.watching import WaitTimeoutError
from tests.helpers.wait import wait_until
from tests.unit.apiserver.serving import ServerThread
from tests.unit.cli.conftest import Cli, Done


def pod(name: str, **spec: Any) -> dict[str, Any]:
    containers = [{"name": "app", "image": "minipod/base"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": containers, **spec},
    }


def apply(cli: Cli, *manifests: dict[str, Any], flags: tuple[str, ...] = ()) -> Done:
    return cli("apply", "-f", "-", *flags, stdin="\n---\n".join(map(json.dumps, manifests)))


def set_status(server: ServerThread, name: str, **status: Any) -> None:
    """What the kubelet would do."""

    async def change() -> None:
        found: core_v1.Pod = await server.local.get(PODS, name, "default")
        from minipod.api import codec

        new = codec.copy(found)
        new.status = codec.from_builtins(core_v1.PodStatus, status)
        await server.local.update(PODS, new, subresource="status")

    server.call(change())


# -- get ---------------------------------------------------------------------------------------------------------


def test_an_empty_list_says_where_it_looked(cli: Cli) -> None:
    cli("create", "namespace", "empty")
    done = cli("get", "pods", "-n", "empty")
    assert (done.code, done.out, done.err) == (0, "", "No resources found in empty namespace.\n")
    assert cli("get", "pods", "-l", "no=such", "-A").err == "No resources found\n"
    assert json.loads(cli("get", "pods", "-n", "empty", "-o", "json").out)["items"] == []


def test_get_in_every_form(cli: Cli) -> None:
    apply(cli, pod("g1"), pod("g2"))
    table = cli("get", "pods", "-l", "app in (g1,g2)").out.splitlines()
    assert table[0].split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert [line.split()[0] for line in table[1:]] == ["g1", "g2"]
    assert cli("get", "pod/g2", "pod/g1", "-o", "name").out == "pod/g2\npod/g1\n"
    assert cli("get", "po", "g1", "-o=jsonpath={.metadata.name}").out == "g1"
    assert cli("get", "pod", "g1", "-o", "yaml").out.startswith("apiVersion: v1\nkind: Pod\nmetadata:\n")
    listed = json.loads(cli("get", "pods", "-l", "app=g1", "-o", "json").out)
    assert (listed["kind"], listed["items"][0]["kind"], listed["items"][0]["apiVersion"]) == (
        "List",
        "Pod",
        "v1",
    )
    assert cli("get", "pods,ns", "-A").out.count("\n\nNAME") == 1
    assert "namespace/default" in cli("get", "pods,ns").out
    assert cli(
        "get", "pods", "-l", "app in (g1,g2)", "--sort-by=.metadata.name", "--no-headers", "-A"
    ).out.startswith("default")
    assert cli("get", "pods", "g1", "--show-labels").out.splitlines()[1].endswith("app=g1")


def test_a_missing_name_does_not_stop_the_others(cli: Cli) -> None:
    apply(cli, pod("there"))
    done = cli("get", "pod", "nobody", "there")
    assert done.code == 1
    assert done.err == 'Error from server (NotFound): pods "nobody" not found\n'
    assert "there" in done.out
    assert cli("get", "pod", "nobody", "--ignore-not-found") == Done(0, "", "")
    assert cli("get", "pod", "nobody", "-o", "json").out == ""


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("get", "things"), 'error: the server doesn\'t have a resource type "things"\n'),
        (("get",), "error: name what you mean"),
        (("get", "pods", "-o", "xml"), 'error: unknown output format "xml"'),
        (("get", "pods", "-o", "jsonpath={.x"), "error: error parsing jsonpath {.x, unclosed action\n"),
        (("get", "pods", "x", "-A"), "error: an object cannot be named together with --all-namespaces"),
        (("get", "pods", "x", "-l", "a=b"), "error: a selector picks objects by itself"),
        (("get", "pods", "-l", "a=(b"), "Error from server (BadRequest): "),
        (("get", "pods", "--frob"), "error: no such option"),
        (("gett",), 'error: unknown command "gett" (did you mean "get"?)\n'),
        (("wait", "--for=x", "pod/a"), 'error: unrecognized condition "x"'),
        (("exec", "x", "ls"), "error: the command comes after --"),
        (("logs",), "error: name one pod"),
        (("run", "x"), "error: missing option '--image'"),
        (("apply",), "error: missing option '-f'"),
        (("delete", "pod"), "error: name the objects, or choose them"),
        (("kubeconfig",), "error: the API listens on its unix socket only"),
        (("completion", "tcsh"), 'error: unsupported shell "tcsh"'),
        (("get", "pods", "--request-timeout=x"), 'error: invalid time "x" for --request-timeout'),
    ],
)
def test_errors_are_one_clear_message_and_exit_code_1(cli: Cli, args: tuple[str, ...], message: str) -> None:
    done = cli(*args)
    assert done.code == 1
    assert done.err.startswith(message)
    assert "Traceback" not in done.err
    assert done.out == ""


def test_raw_and_small_verbs(cli: Cli) -> None:
    assert cli("get", "--raw", "/readyz").out == "ok"
    assert "Server Version: v" in cli("version").out
    assert json.loads(cli("version", "-o", "json").out)["serverVersion"]["major"] == "1"
    assert "pods" in cli("api-resources", "-o", "name").out.split()
    assert "po " in cli("api-resources").out
    assert "answers at unix://" in cli("cluster-info").out


def test_a_get_imports_nothing_heavy(server: ServerThread) -> None:
    """150 ms of wall time is the promise; each of these would take a good part of it."""
    script = (
        "import sys; from minipod.cli.main import run; code = run(sys.argv[1:]);"
        "print(code, *sorted({'aiohttp', 'asyncio', 'msgspec', 'yaml', 'pyroute2'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "--socket", str(server.socket), "get", "ns", "-o", "wide"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "0"


def test_every_request_is_told_when_asked_for(cli: Cli) -> None:
    done = cli("get", "pods", "-v=6")
    assert "GET /api/v1/namespaces/default/pods" in done.err
    assert "response body" in cli("get", "pods", "-v", "8").err


# -- apply, create -----------------------------------------------------------------------------------------------


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


# -- delete, wait, watch -----------------------------------------------------------------------------------------


def test_delete_by_name_label_and_file(cli: Cli) -> None:
    apply(cli, pod("x1"), pod("x2"), pod("x3"))
    assert cli("delete", "pod", "x1") == Done(0, 'pod "x1" deleted\n', "")
    assert cli("delete", "pods", "-l", "app=x2", "-o", "name").out == "pod/x2\n"
    assert cli("delete", "-f", "-", stdin=json.dumps(pod("x3"))).out == 'pod "x3" deleted\n'
    done = cli("delete", "pod", "x1")
    assert (done.code, done.err) == (1, 'Error from server (NotFound): pods "x1" not found\n')
    assert cli("delete", "pod", "x1", "--ignore-not-found") == Done(0, "", "")
    assert cli("delete", "pods", "-l", "app=none").out == "No resources found\n"


def bind(server: ServerThread, name: str) -> None:
    """From now on the pod is a node's, and its deletion waits for that."""

    async def act() -> None:
        found = await server.local.get(PODS, name, "default")
        await server.local.bind(found, "here")

    server.call(act())


def test_delete_waits_for_the_node(cli: Cli, server: ServerThread) -> None:
    apply(cli, pod("held"))
    bind(server, "held")
    done = cli("delete", "pod", "held", "--timeout=50ms")
    assert done.code == 1
    assert "timed out waiting for the condition on pods/held" in done.err

    def finish() -> None:
        with server.client() as api:
            api.delete("/api/v1/namespaces/default/pods/held", {"gracePeriodSeconds": 0})

    timer = threading.Timer(0.2, finish)
    timer.start()
    begin = time.monotonic()
    assert cli("delete", "pod", "held").code == 0
    assert time.monotonic() - begin > 0.1
    timer.join()
    assert cli("get", "pod", "held").code == 1


def test_a_new_object_of_the_same_name_is_not_waited_for(cli: Cli, server: ServerThread) -> None:
    apply(cli, pod("again"))
    session = Session(socket=str(server.socket))
    pods = session.discovery.find("pods")
    wait_until_gone(
        session, pods, "default", "again", "uid-of-an-earlier-one", deadline=time.monotonic() + 5
    )
    uid = cli("get", "pod", "again", "-o", "jsonpath={.metadata.uid}").out
    with pytest.raises(WaitTimeoutError):
        wait_until_gone(session, pods, "default", "again", uid, deadline=time.monotonic() + 0.05)
    session.close()


def test_force_does_not_wait(cli: Cli, server: ServerThread) -> None:
    apply(cli, pod("forced"))
    bind(server, "forced")
    done = cli("delete", "pod", "forced", "--force")
    assert done.out == 'pod "forced" force deleted\n'
    assert done.err.startswith("Warning: Immediate deletion")


def test_wait_for_a_condition_by_watch(cli: Cli, server: ServerThread) -> None:
    apply(cli, pod("w1"))
    condition = {"type": "Ready", "status": "True"}
    timer = threading.Timer(0.1, lambda: set_status(server, "w1", phase="Running", conditions=[condition]))
    timer.start()
    assert cli("wait", "--for=condition=Ready", "pod/w1", "--timeout=10s") == Done(
        0, "pod/w1 condition met\n", ""
    )
    timer.join()
    assert cli("wait", "--for=jsonpath={.status.phase}=Running", "pod", "w1", "--timeout=0").code == 0
    assert cli("wait", "--for=delete", "pod/gone") == Done(0, "", "")
    assert (
        cli("wait", "--for=condition=Ready", "pod/gone").err
        == 'Error from server (NotFound): pods "gone" not found\n'
    )


def test_wait_gives_up_and_says_why(cli: Cli, server: ServerThread) -> None:
    apply(cli, pod("w2"))
    waiting = {"name": "app", "state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}
    container = {"image": "x", "imageID": "", "ready": False, "restartCount": 0, **waiting}
    set_status(server, "w2", phase="Pending", containerStatuses=[container])
    done = cli("wait", "--for=condition=Ready", "pod/w2", "--timeout=50ms")
    assert done.code == 1
    assert done.err == (
        "error: timed out waiting for the condition on pods/w2\n"
        "  phase Pending\n  container app: ErrImagePull: no such image\n"
    )


def test_a_watch_goes_on_with_what_changes(
    server: ServerThread, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(cli, pod("v1"))
    out = io.StringIO()
    seen = threading.Event()

    class Out(io.StringIO):
        def write(self, text: str) -> int:
            out.write(text)
            if "v2" in out.getvalue():
                seen.set()
                raise KeyboardInterrupt
            return len(text)

    codes: list[int] = []
    monkeypatch.setattr(sys, "stdout", Out())
    thread = threading.Thread(
        target=lambda: codes.append(run(["get", "pods", "-w", "-l", "app in (v1,v2)"]))
    )
    thread.start()
    wait_until(lambda: "v1" in out.getvalue())
    with server.client() as api:
        api.create("/api/v1/namespaces/default/pods", pod("v2"))
    assert seen.wait(10)
    thread.join(10)
    assert codes == [130]
    lines = out.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "v1", "v2"]


# -- describe, events, logs, exec ----------------------------------------------------------------------------------


def test_describe_and_events(cli: Cli, server: ServerThread) -> None:
    apply(cli, pod("e1"))
    uid = cli("get", "pod", "e1", "-o", "jsonpath={.metadata.uid}").out
    event = {
        "metadata": {"name": "e1.1", "namespace": "default"},
        "involvedObject": {"kind": "Pod", "name": "e1", "namespace": "default", "uid": uid},
        "type": "Warning",
        "reason": "BackOff",
        "message": "again",
        "firstTimestamp": "2026-11-24T10:00:00Z",
        "lastTimestamp": "2026-11-24T10:00:00Z",
        "source": {"component": "kubelet"},
    }
    with server.client() as api:
        api.create("/api/v1/namespaces/default/events", event)
    said = cli("describe", "pod", "e1").out
    assert "Name:" in said
    assert "BackOff" in said
    assert "again" in cli("events", "--for", "pod/e1").out
    assert (
        cli("events", "--for", "pod/e1", "--types=Normal").err == "No events found in default namespace.\n"
    )
    assert cli("events", "--for", "pod/e1", "-o", "jsonpath={.items[*].reason}").out == "BackOff"
    assert cli("describe", "pod", "nobody").code == 1
    assert cli("describe", "ns", "default").out.startswith("Name:")


def test_logs(cli: Cli, server: ServerThread) -> None:
    apply(cli, pod("l1"))
    bind(server, "l1")
    assert cli("logs", "l1").out == "one\ntwo\n"
    assert cli("logs", "pod/l1", "--prefix").out == "[pod/l1/app] one\n[pod/l1/app] two\n"
    assert cli("logs", "l1", "-p").err == (
        "Error from server (BadRequest): previous terminated container app not found\n"
    )
    assert cli("logs", "-l", "app=l1", "--all-containers").out == "one\ntwo\n"
    assert cli("logs", "l1", "-c", "x").err.startswith("error: container x is not valid for pod l1")
    server.loop.call_soon_threadsafe(server.node.lines.put_nowait, b"three\n")
    server.loop.call_soon_threadsafe(server.node.lines.put_nowait, None)
    assert cli("logs", "l1", "-f").out == "one\ntwo\nthree\n"


def test_exec(cli: Cli, server: ServerThread) -> None:
    apply(cli, pod("x9"))
    bind(server, "x9")
    assert cli("exec", "x9", "--", "echo", "-n", "a b") == Done(0, "-n a b\n", "said\n")
    assert cli("exec", "x9", "--", "exit", "7") == Done(7, "", "command terminated with exit code 7\n")
    done = cli("exec", "x9", "--", "fail", "exec /bin/nope: no such file or directory")
    assert done.code != 0
    assert "/bin/nope: no such file" in done.err
    assert cli("exec", "x9", "-q", "--", "flood", "1048576").out == "x" * 1048576
    assert cli("exec", "x9", "--", "refuse").err == "error: container app is not running\n"


def test_exec_passes_standard_input(cli: Cli, server: ServerThread, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    apply(cli, pod("x8"))
    bind(server, "x8")
    receive, send = os.pipe()
    os.write(send, b"through\n")
    os.close(send)
    saved = os.dup(0)
    os.dup2(receive, 0)
    try:
        assert cli("exec", "-i", "x8", "--", "cat") == Done(0, "through\n", "")
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        os.close(receive)


def test_without_a_daemon_the_message_says_what_to_do(cli: Cli, tmp_path: Path) -> None:
    done = cli("--socket", str(tmp_path / "none.sock"), "get", "pods")
    assert done.code == 1
    assert "none.sock" in done.err
    assert "minipod daemon" in done.err
    assert "no daemon answers" in cli("down", "--socket", str(tmp_path / "none.sock")).err


def test_completion_knows_types_names_and_containers(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, server: ServerThread
) -> None:
    apply(cli, pod("complete-me"))

    def complete(line: str) -> list[str]:
        from click.shell_completion import BashComplete

        from minipod.cli.main import root

        words = line.split(" ")
        found = BashComplete(root, {}, "minipod", "X").get_completions(words[1:-1], words[-1])
        return [item.value for item in found]

    assert "pods" in complete("minipod get po")
    assert complete("minipod get pod complete") == ["complete-me"]
    assert complete("minipod get pod/complete") == ["pod/complete-me"]
    assert complete("minipod logs complete") == ["complete-me"]
    assert complete("minipod logs complete-me ") == ["app"]
    assert "get" in complete("minipod ge")
    monkeypatch.setenv("MINIPOD_SOCKET", "/nonexistent")
    assert complete("minipod get pod x") == []
