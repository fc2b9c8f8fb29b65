"""logs, exec, attach and run against real processes."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time

from tests.helpers.daemon import PROJECT, Daemon
from tests.helpers.manifests import FOREVER, container, pod
from tests.helpers.wait import wait_until


def popen(node: Daemon, *args: str, **options: object) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "minipod", "--socket", str(node.socket), *args]
    return subprocess.Popen(argv, cwd=PROJECT, text=True, **options)  # type: ignore[call-overload,no-any-return]


def read_until(terminal: int, wanted: bytes, timeout: float = 10.0) -> bytes:
    """What a terminal prints, up to and with `wanted`."""
    seen = b""
    deadline = time.monotonic() + timeout
    while wanted not in seen:
        left = deadline - time.monotonic()
        assert left > 0, f"no {wanted!r} in {seen!r}"
        if select.select([terminal], [], [], left)[0]:
            seen += os.read(terminal, 4096)
    return seen


def test_logs_of_both_streams_with_tail_and_timestamps(node: Daemon) -> None:
    node.apply(pod("talk", container("for i in 1 2 3; do echo out$i; done; echo err >&2; " + FOREVER)))
    node.wait_pod("talk")
    wait_until(lambda: "err" in node.out("logs", "talk"))
    assert set(node.out("logs", "talk").split()) == {"out1", "out2", "out3", "err"}
    assert len(node.out("logs", "talk", "--tail=2").split()) == 2
    line = node.out("logs", "talk", "--timestamps", "--tail=1")
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z \w+\n", line)
    assert node.out("logs", "talk", "--since=1h").count("\n") == 4


def test_logs_follow_until_the_container_ends(node: Daemon) -> None:
    node.apply(pod("follow", container("echo a; sleep 0.5; echo b"), restartPolicy="Never"))
    wait_until(lambda: node.cli("logs", "follow", check=False).returncode == 0)
    assert node.out("logs", "-f", "follow") == "a\nb\n"


def test_logs_of_the_attempt_before(node: Daemon) -> None:
    script = (
        "if [ -e /v/second ]; then echo second; else touch /v/second; echo first; exit 1; fi; " + FOREVER
    )
    node.apply(
        pod(
            "twice",
            container(script, volumeMounts=[{"name": "v", "mountPath": "/v"}]),
            volumes=[{"name": "v", "emptyDir": {}}],
        )
    )
    wait_until(lambda: node.cli("logs", "twice", check=False).stdout == "second\n")
    assert node.out("logs", "twice", "--previous") == "first\n"


def test_logs_ask_which_container(node: Daemon) -> None:
    node.apply(pod("pair", container("echo one; " + FOREVER, "a"), container("echo two; " + FOREVER, "b")))
    node.wait_pod("pair")
    wait_until(lambda: node.out("logs", "pair", "-c", "b") == "two\n")
    assert set(node.out("logs", "pair", "--all-containers").split()) == {"one", "two"}


def test_a_long_line_arrives_whole(node: Daemon) -> None:
    node.apply(pod("long", container("head -c 100000 /dev/zero | tr '\\0' x; echo"), restartPolicy="Never"))
    node.wait_phase("long", "Succeeded")
    assert node.out("logs", "long") == "x" * 100000 + "\n"


def test_exec_passes_streams_and_exit_code(node: Daemon) -> None:
    node.apply(pod("execd"))
    node.wait_pod("execd")
    done = node.cli("exec", "execd", "--", "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    assert (done.stdout, done.returncode) == ("out\n", 7)
    assert done.stderr.startswith("err\n")
    assert node.out("exec", "-i", "execd", "--", "cat", stdin="through\n") == "through\n"
    big = "y" * 1_000_000
    assert node.out("exec", "-i", "execd", "--", "wc", "-c", stdin=big).strip() == "1000000"


def test_exec_of_what_is_not_there_says_so(node: Daemon) -> None:
    node.apply(pod("execnone"))
    node.wait_pod("execnone")
    done = node.cli("exec", "execnone", "--", "/bin/nope", check=False)
    assert done.returncode != 0
    assert "/bin/nope" in done.stderr
    assert "no such file" in done.stderr


def test_exec_on_a_terminal(node: Daemon) -> None:
    node.apply(pod("term"))
    node.wait_pod("term")
    master, slave = pty.openpty()
    process = popen(node, "exec", "-it", "term", "--", "sh", stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    read_until(master, b"/ #")
    os.write(master, b"tty; exit 5\n")
    seen = read_until(master, b"/dev/pts/")
    assert process.wait(timeout=5) == 5
    os.close(master)
    assert b"/dev/pts/" in seen


def test_attach_sees_output_and_gives_input(node: Daemon) -> None:
    script = "while read line; do echo got $line; [ $line = end ] && exit 0; done"
    node.apply(pod("attached", container(script, stdin=True, stdinOnce=True), restartPolicy="Never"))
    node.wait_pod("attached")
    done = node.cli("attach", "-i", "attached", stdin="one\nend\n", check=False)
    assert "got one" in done.stdout
    node.wait_phase("attached", "Succeeded")
    assert node.out("logs", "attached") == "got one\ngot end\n"


def test_run_makes_a_pod(node: Daemon) -> None:
    node.cli("run", "ran", "--image", "minipod/base", "--restart", "Never", "--", "echo", "hi")
    node.wait_phase("ran", "Succeeded")
    assert node.out("logs", "ran") == "hi\n"


def test_run_interactively_passes_the_exit_code_on_and_removes(node: Daemon) -> None:
    done = node.cli(
        "run", "once", "--image", "minipod/base", "--restart", "Never", "--rm", "-i", "--", "sh", "-c", "cat; exit 3",
        stdin="in\n", check=False,
    )  # fmt: skip
    assert "in\n" in done.stdout
    assert done.returncode == 3
    assert node.cli("get", "pod", "once", check=False).returncode == 1
