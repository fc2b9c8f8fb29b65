"""delete, wait and watch against a real API server, with a node that only plays one."""

from __future__ import annotations

import io
import json
import sys
import threading
import time

import pytest

from minipod.cli.deletion import wait_until_gone
from minipod.cli.main import run
from minipod.cli.session import Session
from minipod.cli.watching import WaitTimeoutError
from tests.helpers.wait import wait_until
from tests.unit.apiserver.serving import ServerThread
from tests.unit.cli.acting import apply, bind, pod, set_status
from tests.unit.cli.conftest import Cli, Done


def test_delete_by_name_label_and_file(cli: Cli) -> None:
    apply(cli, pod("x1"), pod("x2"), pod("x3"))
    assert cli("delete", "pod", "x1") == Done(0, 'pod "x1" deleted\n', "")
    assert cli("delete", "pods", "-l", "app=x2", "-o", "name").out == "pod/x2\n"
    assert cli("delete", "-f", "-", stdin=json.dumps(pod("x3"))).out == 'pod "x3" deleted\n'
    done = cli("delete", "pod", "x1")
    assert (done.code, done.err) == (1, 'Error from server (NotFound): pods "x1" not found\n')
    assert cli("delete", "pod", "x1", "--ignore-not-found") == Done(0, "", "")
    assert cli("delete", "pods", "-l", "app=none").out == "No resources found\n"


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
