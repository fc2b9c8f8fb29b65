"""The infra process: what it holds, and how little it is."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from minipod.runtime.launch import PAUSE
from tests.helpers.wait import wait_until
from tests.kernel.runtime.launching import Shim, document, namespace, shim

PROJECT = Path(__file__).parent.parent.parent.parent
NAMESPACES = ("net", "ipc", "uts", "pid", "mnt", "cgroup")


@pytest.fixture
def pod(word: str, workdir: Path) -> Iterator[Shim]:
    with shim(word, workdir) as found:
        yield found


def shared_with_host(pid: int) -> set[str]:
    return {kind for kind in NAMESPACES if namespace(pid, kind) == namespace(os.getpid(), kind)}


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def test_it_holds_new_network_ipc_and_uts_namespaces(pod: Shim) -> None:
    assert shared_with_host(pod.infra()) == {"pid", "cgroup"}


def test_it_is_the_init_of_a_shared_pid_namespace(pod: Shim) -> None:
    pid = pod.infra(pid="pod")
    assert shared_with_host(pid) == {"cgroup"}
    assert status(pid)["NSpid"].split() == [str(pid), "1"]


def test_the_hosts_namespaces_are_kept_where_the_pod_asks_for_them(pod: Shim) -> None:
    pid = pod.infra(network="node", ipc="node", pid="node")
    assert shared_with_host(pid) == set(NAMESPACES) - {"mnt"}


def test_hostname_sysctls_and_loopback_are_ready_when_it_has_started(pod: Shim) -> None:
    infra = pod.infra(hostname="web-0", sysctls={"net.ipv4.ip_local_port_range": "1024 65000"})
    script = "hostname; cat /proc/sys/net/ipv4/ip_local_port_range; ip addr show lo"
    done = pod.run(document("/bin/sh", "-c", script, infra_pid=infra), infra="infra")
    assert done["stdout"].startswith("web-0\n1024\t65000\n")
    assert re.search(r"<LOOPBACK,UP,LOWER_UP>(.|\n)*127\.0\.0\.1/8", done["stdout"])
    assert os.uname().nodename != "web-0"


def test_a_sysctl_of_the_host_fails_the_start(pod: Shim) -> None:
    answer = pod.ask("infra", name="infra", hostname="x", sysctls={"vm.swappiness": "1"})
    assert answer["failure"]["stage"] == "sysctl"
    assert (
        answer["failure"]["message"]
        == "sysctl vm.swappiness: it is not namespaced and would change the whole host"
    )


def test_a_network_sysctl_is_refused_on_the_hosts_network(pod: Shim) -> None:
    before = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
    answer = pod.ask(
        "infra", name="infra", hostname="x", network="node", sysctls={"net.ipv4.ip_local_port_range": "1 2"}
    )
    assert "needs a network namespace of the pod's own" in answer["failure"]["message"]
    assert Path("/proc/sys/net/ipv4/ip_local_port_range").read_text() == before


def test_it_has_no_rights_and_no_root_to_look_at(pod: Shim) -> None:
    pid = pod.infra()
    seen = status(pid)
    assert {seen[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert seen["NoNewPrivs"] == "1"
    assert seen["Uid"].split() == ["65535"] * 4
    assert seen["Gid"].split() == ["65535"] * 4
    assert seen["Groups"] == ""
    assert os.listdir(f"/proc/{pid}/root") == []
    with pytest.raises(OSError, match="Read-only file system"):
        Path(f"/proc/{pid}/root/x").touch()
    assert len(Path(f"/proc/{pid}/mountinfo").read_text().splitlines()) == 1


def test_it_is_tiny_and_holds_no_descriptor_but_null(pod: Shim) -> None:
    pid = pod.infra()
    null = os.stat("/dev/null").st_rdev
    assert {os.stat(f"/proc/{pid}/fd/{fd}").st_rdev for fd in os.listdir(f"/proc/{pid}/fd")} == {null}
    # Its execve has succeeded; that it has named itself comes a moment later.
    wait_until(lambda: Path(f"/proc/{pid}/comm").read_text() == "pause\n")
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    assert int(re.findall(r"Rss: +(\d+) kB", rollup)[0]) < 100


def test_sigterm_ends_it(pod: Shim) -> None:
    for mode in ("pod", "node"):
        pod.infra(name=mode, pid=mode)
        pod.kill(mode, signal.SIGTERM)
        assert pod.ask("finish", name=mode)["code"] == 0


def test_it_reaps_orphans_of_a_shared_pid_namespace(pod: Shim) -> None:
    infra = pod.infra(pid="pod")
    oci = document("/bin/sh", "-c", "(true & ) ; cat", infra_pid=infra)
    oci["linux"]["namespaces"][0]["path"] = f"/proc/{infra}/ns/pid"
    started = pod.start(oci, infra="infra")
    children = Path(f"/proc/{infra}/task/{infra}/children")
    wait_until(lambda: children.read_text() == "", message="orphans to be reaped")
    assert started["failure"] is None


def test_a_container_that_shares_its_pids_cannot_reach_into_it(pod: Shim) -> None:
    infra = pod.infra(pid="pod")
    script = "ls /proc/1/root/; cat /proc/1/fd/0; readlink /proc/1/exe; cat /proc/1/environ; true"
    oci = document("/bin/sh", "-c", script, infra_pid=infra)
    oci["linux"]["namespaces"][0]["path"] = f"/proc/{infra}/ns/pid"
    done = pod.run(oci, infra="infra")
    assert done["stdout"] == ""
    assert done["stderr"].count("Permission denied") == 3


def test_without_the_program_it_waits_in_python(pod: Shim, workdir: Path) -> None:
    broken = workdir / "pause"
    broken.write_bytes(b"\x7fELF not for this machine")
    broken.chmod(0o755)
    for name, pause in (("missing", workdir / "none"), ("broken", broken)):
        pid = pod.infra(name=name, pause=str(pause))
        wait_until(lambda of=pid: Path(f"/proc/{of}/comm").read_text() == "pause\n")
        assert status(pid)["CapPrm"] == "0" * 16
        pod.kill(name, signal.SIGTERM)
        assert pod.ask("finish", name=name)["code"] == 0


def test_the_shipped_program_is_what_the_source_builds(workdir: Path) -> None:
    if not PAUSE.exists():
        pytest.skip(f"no prebuilt pause program for this machine: {PAUSE.name}")
    built = workdir / "pause"
    subprocess.run([PROJECT / "rootfs" / "pause" / "build.sh", built], check=True, capture_output=True)
    for program in (PAUSE, built):
        child = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", program])
        pid = wait_until(lambda of=child.pid: Path(f"/proc/{of}/task/{of}/children").read_text().strip())
        wait_until(lambda of=int(pid): (status(of)["Name"], status(of)["State"][0]) == ("pause", "S"))
        os.kill(int(pid), signal.SIGINT)
        assert child.wait(timeout=10) == 0
    assert abs(built.stat().st_size - PAUSE.stat().st_size) < 4096
