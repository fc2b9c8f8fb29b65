"""Reading by whole command lines, against a real API server with a node that only plays one: no root needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.apiserver.serving import ServerThread
from tests.unit.cli.acting import apply, bind, pod
from tests.unit.cli.conftest import Cli, Done


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
