"""A further process in a running container, and terminals for both kinds."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.runtime.launching import CAPABILITIES, Shim, document, namespace, shim

NAMESPACES = ("net", "ipc", "uts", "pid", "mnt", "cgroup")


@pytest.fixture
def pod(word: str, workdir: Path) -> Iterator[Shim]:
    with shim(word, workdir) as found:
        yield found


@pytest.fixture
def running(pod: Shim) -> dict[str, Any]:
    """A container named main that waits for the end of its input."""
    return pod.start(document("/bin/sh", "-c", "echo x > /tmp/mine; echo up; cat"), name="main")


def process(*args: str, **fields: Any) -> dict[str, Any]:
    return document(*args, **fields)["process"]


def test_it_lives_in_every_namespace_of_the_container(pod: Shim, running: dict[str, Any]) -> None:
    started = pod.ask("exec", name="x", container="main", process=process("/bin/cat"))
    for kind in NAMESPACES:
        assert namespace(started["pid"], kind) == namespace(running["pid"], kind)
    assert (
        Path(f"/proc/{started['pid']}/cgroup").read_text()
        == Path(f"/proc/{running['pid']}/cgroup").read_text()
    )


def test_it_sees_the_containers_files_and_processes(pod: Shim, running: dict[str, Any]) -> None:
    pod.ask("expect", name="main", text="up")
    script = "cat /tmp/mine; tr '\\0' ' ' < /proc/1/cmdline; cat /proc/$$/cgroup"
    done = pod.exec("main", process("/bin/sh", "-c", script))
    assert done["stdout"].startswith("x\ncat ")
    assert done["stdout"].endswith("0::/\n")


def test_its_streams_are_apart_and_its_code_comes_back(pod: Shim, running: dict[str, Any]) -> None:
    done = pod.exec("main", process("/bin/sh", "-c", "echo o; echo e >&2; exit 3"))
    assert (done["stdout"], done["stderr"], done["code"]) == ("o\n", "e\n", 3)


def test_it_is_a_child_of_the_shim_and_no_stranger_inside(pod: Shim, running: dict[str, Any]) -> None:
    started = pod.ask("exec", name="x", container="main", process=process("/bin/cat"))
    stat = Path(f"/proc/{started['pid']}/stat").read_text().rpartition(")")[2].split()
    assert int(stat[1]) == pod.pid


def test_it_takes_user_rights_and_directory_from_its_process(pod: Shim, running: dict[str, Any]) -> None:
    script = "id -u; id -g; id -G; pwd; umask; grep -E 'CapBnd|CapEff|NoNew' /proc/self/status; env"
    done = pod.exec(
        "main",
        process(
            "/bin/sh",
            "-c",
            script,
            user={"uid": 1000, "gid": 1001, "additionalGids": [7, 8], "umask": 0o027},
            cwd="/tmp",
            noNewPrivileges=True,
            env=["PATH=/bin", "B=1"],
        ),
    )
    bounding = sum(1 << n for n in (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31))
    assert len(CAPABILITIES) == 14
    lines = done["stdout"].splitlines()
    assert lines[:5] == ["1000", "1001", "1001 7 8", "/tmp", "0027"]
    assert [line.split()[1] for line in lines[5:8]] == ["0" * 16, f"{bounding:016x}", "1"]
    assert {"HOME=/root", "B=1"} & set(lines) == {"B=1"}
    assert "HOME=/home/user" in lines


def test_a_missing_command_is_named(pod: Shim, running: dict[str, Any]) -> None:
    failure = pod.exec("main", process("nope"))["failure"]
    assert failure["message"] == 'exec: "nope": executable file not found in $PATH'


def test_a_missing_directory_is_named_and_not_made(pod: Shim, running: dict[str, Any]) -> None:
    failure = pod.exec("main", process("/bin/true", cwd="/none"))["failure"]
    assert failure["message"] == 'chdir to "/none": no such file or directory'
    assert pod.exec("main", process("/bin/ls", "/none"))["code"] == 1


def test_it_inherits_no_descriptor(pod: Shim, running: dict[str, Any]) -> None:
    done = pod.exec("main", process("/bin/sh", "-c", "exec ls /proc/self/fd"))
    assert done["stdout"].split() == ["0", "1", "2", "3"], "3 is ls reading the directory"


def test_while_it_is_still_python_the_container_cannot_look_into_it(
    pod: Shim, running: dict[str, Any]
) -> None:
    """The command does not exist, so what the watcher sees of it is the launching child and nothing else."""
    script = """
        while [ ! -e /tmp/stop ]; do
            for p in /proc/[0-9]*; do
                [ $p = /proc/1 -o $p = /proc/$$ ] || ls $p/root/ $p/fd $p/cwd/ 2>/dev/null
            done
        done; echo done"""
    watcher = pod.ask("exec", name="watch", container="main", process=process("/bin/sh", "-c", script))
    assert watcher["failure"] is None
    for _ in range(10):
        assert pod.exec("main", process("/no/such/command"))["failure"]["stage"] == "exec"
    assert pod.exec("main", process("/bin/touch", "/tmp/stop"))["code"] == 0
    seen = pod.ask("finish", name="watch")["stdout"].split()
    assert not {"work", "boot", "home"} & set(seen)
    assert seen[-1] == "done"


# -- terminals ---------------------------------------------------------------------------------------------------


def test_a_containers_terminal_is_its_console_and_its_controlling_terminal(pod: Shim) -> None:
    script = (
        "tty; ls -l /dev/console | cut -c1; [ /dev/console -ef $(tty) ] && echo same; echo hi > /dev/tty"
    )
    done = pod.run(document("/bin/sh", "-c", script, terminal=True))
    lines = done["tty"].replace("\r", "").splitlines()
    assert lines[:4] == ["/dev/pts/0", "c", "same", "hi"]
    assert done["code"] == 0


def test_input_and_window_size_reach_a_terminal(pod: Shim) -> None:
    oci = document("/bin/sh", "-c", "stty size; read line; echo got $line", terminal=True)
    oci["process"]["consoleSize"] = {"height": 31, "width": 77}
    started = pod.start(oci)
    pod.ask("expect", name=started["name"], text="31 77")
    pod.ask("write", name=started["name"], text="word\n")
    pod.ask("expect", name=started["name"], text="got word")


def test_control_c_interrupts_what_runs_in_a_terminal(pod: Shim) -> None:
    started = pod.start(
        document("/bin/sh", "-c", "trap 'echo caught; exit 9' INT; echo up; cat", terminal=True)
    )
    pod.ask("expect", name=started["name"], text="up")
    # The terminal's echo, then cat's answer: it is cat that the signal meets, not a shell about to fork.
    pod.ask("write", name=started["name"], text="said\n")
    pod.ask("expect", name=started["name"], text="said\r\nsaid\r\n")
    pod.ask("write", name=started["name"], text="\x03")
    assert pod.ask("finish", name=started["name"])["code"] == 9


def test_an_exec_has_a_terminal_of_the_containers_devpts(pod: Shim, running: dict[str, Any]) -> None:
    done = pod.exec("main", process("/bin/sh", "-c", "tty; echo hi > /dev/tty", terminal=True))
    assert done["tty"].replace("\r", "") == "/dev/pts/0\nhi\n"


def test_a_user_may_reopen_terminal_and_pipes(pod: Shim, running: dict[str, Any]) -> None:
    user = {"uid": 1000, "gid": 1000}
    assert pod.exec("main", process("/bin/sh", "-c", "echo hi > /dev/stdout", user=user))["stdout"] == "hi\n"
    done = pod.exec("main", process("/bin/sh", "-c", "echo hi > $(tty)", user=user, terminal=True))
    assert done["tty"] == "hi\r\n"


def test_a_container_without_devpts_gets_a_plain_answer(pod: Shim) -> None:
    oci = document("/bin/sh", terminal=True)
    oci["mounts"] = [m for m in oci["mounts"] if m["type"] != "devpts"]
    failure = pod.fail(oci)
    assert failure["stage"] == "console"
    assert "no such file or directory" in failure["message"]


def test_a_faked_multiplexer_is_not_taken_for_a_terminal(pod: Shim) -> None:
    """Whoever is root inside may replace everything in /dev that is not a mount."""
    oci = document("/bin/sh", "-c", "mkdir /dev/pts; ln -s /dev/null /dev/pts/ptmx; echo up; cat")
    oci["mounts"] = [m for m in oci["mounts"] if m["type"] != "devpts"]
    pod.start(oci, name="main")
    pod.ask("expect", name="main", text="up")
    failure = pod.exec("main", process("/bin/sh", terminal=True))["failure"]
    assert failure["stage"] == "console"


def test_a_container_that_ends_takes_its_execs_along(pod: Shim, running: dict[str, Any]) -> None:
    pod.ask("exec", name="x", container="main", process=process("/bin/sleep", "1000"))
    pod.kill("main", signal.SIGKILL)
    assert pod.ask("finish", name="x")["code"] == 137
