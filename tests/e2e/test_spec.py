"""What the fields of a pod's spec do to the world its processes see."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.daemon import Daemon
from tests.helpers.manifests import FOREVER, container, pod
from tests.helpers.wait import wait_until


def output(
    node: Daemon, name: str, script: str, *, container_fields: dict[str, Any] | None = None, **spec: Any
) -> str:
    """Run a script to its end in a pod of its own and return what it printed."""
    node.apply(pod(name, container(script, **(container_fields or {})), restartPolicy="Never", **spec))
    node.wait_phase(name, "Succeeded")
    return node.out("logs", name)


def test_command_args_and_environment_are_expanded(node: Daemon) -> None:
    fields = {
        "name": "main",
        "image": "minipod/base",
        "command": ["echo"],
        "args": ["$(GREETING), $(WHO)!", "$$(WHO)", "$(UNKNOWN)"],
        "env": [{"name": "WHO", "value": "world"}, {"name": "GREETING", "value": "hello $(WHO)"}],
    }
    node.apply(pod("expand", fields, restartPolicy="Never"))
    node.wait_phase("expand", "Succeeded")
    assert node.out("logs", "expand") == "hello world, world! $(WHO) $(UNKNOWN)\n"


def test_working_directory_user_and_groups(node: Daemon) -> None:
    said = output(
        node,
        "who",
        "pwd; id -u; id -g; id -G",
        container_fields={"workingDir": "/var", "securityContext": {"runAsUser": 1234}},
        securityContext={"runAsGroup": 77, "supplementalGroups": [88], "fsGroup": 99},
    )
    assert said.split("\n")[:3] == ["/var", "1234", "77"]
    assert set(said.split("\n")[3].split()) == {"77", "88", "99"}


def test_run_as_non_root_refuses_root(node: Daemon) -> None:
    node.apply(pod("nonroot", container(securityContext={"runAsNonRoot": True})))
    waiting = wait_until(lambda: _waiting(node, "nonroot"))
    assert waiting["reason"] == "CreateContainerConfigError"
    assert "container has runAsNonRoot and image will run as root" in waiting["message"]


def test_capabilities(node: Daemon) -> None:
    context = {
        "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        "allowPrivilegeEscalation": False,
    }
    said = output(
        node,
        "caps",
        "grep -E 'CapEff|NoNewPrivs' /proc/self/status",
        container_fields={"securityContext": context},
    )
    assert said.split() == ["CapEff:", "0000000000000400", "NoNewPrivs:", "1"]


def test_the_hosts_null_device_can_be_used_but_not_changed(node: Daemon) -> None:
    """Masked files and an absent stdin are the host's /dev/null; the mode tried here is the one it has."""
    before = os.stat("/dev/null")
    said = output(
        node,
        "null",
        "for f in /proc/kcore /proc/keys /proc/self/fd/0; do chmod 666 $f && echo changed $f; "
        "echo x > $f && echo wrote; done; true",
    )
    assert "changed" not in said
    assert "wrote" in said
    assert os.stat("/dev/null").st_ctime_ns == before.st_ctime_ns


def test_the_default_capabilities_are_containerds(node: Daemon) -> None:
    assert output(node, "defcaps", "grep CapEff /proc/self/status").split()[1] == "00000000a80425fb"


def test_a_read_only_root(node: Daemon) -> None:
    said = output(
        node,
        "readonly",
        "touch /x 2>&1; touch /tmp2/ok && echo wrote",
        container_fields={
            "securityContext": {"readOnlyRootFilesystem": True},
            "volumeMounts": [{"name": "t", "mountPath": "/tmp2"}],
        },
        volumes=[{"name": "t", "emptyDir": {}}],
    )
    assert "Read-only file system" in said
    assert said.endswith("wrote\n")


def test_a_privileged_container_sees_what_others_do_not(node: Daemon) -> None:
    script = "test -w /proc/sys/kernel && mount -t tmpfs x /mnt 2>/dev/null && echo mounted"
    assert "mounted" in output(
        node,
        "privileged",
        f"mkdir -p /mnt; {script}",
        container_fields={"securityContext": {"privileged": True}},
    )


def test_hostname_subdomain_hosts_and_resolver(node: Daemon) -> None:
    said = output(
        node,
        "names",
        "hostname; cat /etc/hostname /etc/hosts /etc/resolv.conf",
        hostname="my-host",
        subdomain="sub",
        hostAliases=[{"ip": "192.0.2.7", "hostnames": ["db", "db.test"]}],
        dnsPolicy="None",
        dnsConfig={
            "nameservers": ["192.0.2.53"],
            "searches": ["a.test"],
            "options": [{"name": "ndots", "value": "3"}],
        },
    )
    assert said.startswith("my-host\nmy-host\n")
    assert "192.0.2.7\tdb\tdb.test" in said
    assert "my-host.sub.default.svc.cluster.local\tmy-host" in said
    assert "nameserver 192.0.2.53" in said
    assert "search a.test" in said
    assert "options ndots:3" in said


def test_pid_one_is_the_entrypoint_or_the_infra_process(node: Daemon) -> None:
    shells_pid = "cut -d' ' -f4 /proc/self/stat"
    assert output(node, "pid1", f"{shells_pid}; true") == "1\n"
    said = output(node, "pidshared", f"{shells_pid}; cat /proc/1/comm", shareProcessNamespace=True)
    assert said.split()[0] != "1"
    assert said.split()[1] == "pause"


def test_host_namespaces(node: Daemon) -> None:
    script = "for n in pid ipc net; do readlink /proc/self/ns/$n; done"
    shared = output(node, "hostns", script, hostNetwork=True, hostPID=True, hostIPC=True).split()
    private = output(node, "ownns", script).split()
    assert shared[:2] == [os.readlink("/proc/self/ns/pid"), os.readlink("/proc/self/ns/ipc")]
    assert shared[2] == node.enter("readlink", "/proc/self/ns/net").stdout.strip()
    assert not set(shared) & set(private)


def test_containers_share_network_and_ipc_but_not_mounts(node: Daemon) -> None:
    node.apply(pod("sharing", container(FOREVER, "a"), container(FOREVER, "b")))
    node.wait_pod("sharing")
    script = ["--", "sh", "-c", "for n in net ipc uts mnt pid; do readlink /proc/self/ns/$n; done"]
    a, b = (node.out("exec", "sharing", "-c", c, *script).split() for c in "ab")
    assert a[:3] == b[:3]
    assert a[3] != b[3]
    assert a[4] != b[4]


def test_safe_sysctls_are_set_and_unsafe_ones_refused(node: Daemon) -> None:
    said = output(
        node,
        "sysctl",
        "cat /proc/sys/net/ipv4/ip_local_port_range",
        securityContext={"sysctls": [{"name": "net.ipv4.ip_local_port_range", "value": "2000\t3000"}]},
    )
    assert said.split() == ["2000", "3000"]
    node.apply(pod("unsafe", securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}))
    refused = node.wait_phase("unsafe", "Failed")["status"]
    assert refused["reason"] == "SysctlForbidden"
    assert "containerStatuses" not in refused
    assert node.out("get", "pod", "unsafe", "--no-headers").split()[:3] == [
        "unsafe",
        "0/1",
        "SysctlForbidden",
    ]


def test_an_empty_dir_is_shared_and_goes_with_the_pod(node: Daemon) -> None:
    mount = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    node.apply(
        pod(
            "emptydir",
            container("echo data > /v/f; " + FOREVER, "w", **mount),
            container(FOREVER, "r", **mount),
            volumes=[{"name": "v", "emptyDir": {}}],
        )
    )
    uid = node.wait_pod("emptydir")["metadata"]["uid"]
    wait_until(
        lambda: node.cli("exec", "emptydir", "-c", "r", "--", "cat", "/v/f", check=False).stdout == "data\n"
    )
    assert node.out("exec", "emptydir", "-c", "r", "--", "stat", "-c", "%a", "/v") == "777\n"
    pod_dir = Path(node.flags["data-dir"]) / "pods" / uid
    assert pod_dir.exists()
    node.cli("delete", "pod", "emptydir")
    wait_until(lambda: not pod_dir.exists())


def test_a_memory_empty_dir_is_a_tmpfs_of_its_size(node: Daemon) -> None:
    said = output(
        node,
        "memdir",
        "grep ' /v ' /proc/mounts; df -k /v | tail -1",
        container_fields={"volumeMounts": [{"name": "v", "mountPath": "/v"}]},
        volumes=[{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "2Mi"}}],
    )
    assert "tmpfs" in said
    assert " 2048 " in said.split("\n")[1]


@pytest.mark.parametrize(
    ("kind", "make", "works"),
    [
        ("", None, True),
        ("DirectoryOrCreate", None, True),
        ("Directory", None, False),
        ("Directory", "dir", True),
        ("FileOrCreate", None, True),
        ("File", "dir", False),
        ("File", "file", True),
        ("Socket", "file", False),
        ("CharDevice", "file", False),
        ("BlockDevice", "file", False),
    ],
)
def test_host_path_types(node: Daemon, tmp_path: Path, kind: str, make: str | None, works: bool) -> None:
    path = tmp_path / "it"
    if make == "dir" or kind == "":
        path.mkdir()
    elif make == "file":
        path.touch()
    name = f"hp-{kind.lower() or 'any'}-{make or 'none'}"
    source: dict[str, str] = {"path": str(path), **({"type": kind} if kind else {})}
    node.apply(
        pod(
            name,
            container("ls -d /it", volumeMounts=[{"name": "v", "mountPath": "/it"}]),
            restartPolicy="Never",
            volumes=[{"name": "v", "hostPath": source}],
        )
    )
    if works:
        node.wait_phase(name, "Succeeded")
    else:
        event = wait_until(
            lambda: next((e for e in node.events(name) if e["reason"] == "FailedMount"), None)
        )
        assert f"hostPath type check failed: {path}" in event["message"]
        assert node.pod(name)["status"]["phase"] == "Pending"
    node.cli("delete", "pod", name)


def test_sub_path_and_read_only_mounts(node: Daemon, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "f").write_text("deep\n")
    said = output(
        node,
        "subpath",
        "cat /sub/f; touch /sub/x 2>&1; cat /mine/name; true",
        container_fields={
            "env": [{"name": "SUB", "value": "made"}],
            "volumeMounts": [
                {"name": "h", "mountPath": "/sub", "subPath": "in", "readOnly": True},
                {"name": "h", "mountPath": "/mine", "subPathExpr": "$(SUB)/deeper"},
            ],
        },
        volumes=[{"name": "h", "hostPath": {"path": str(tmp_path)}}],
    )
    assert said.startswith("deep\n")
    assert "Read-only file system" in said
    assert (tmp_path / "made" / "deeper").is_dir()


def test_a_sub_path_cannot_leave_its_volume(node: Daemon, tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("/etc")
    node.apply(
        pod(
            "escape",
            container("cat /x/shadow", volumeMounts=[{"name": "h", "mountPath": "/x", "subPath": "out"}]),
            restartPolicy="Never",
            volumes=[{"name": "h", "hostPath": {"path": str(tmp_path)}}],
        )
    )
    waiting = wait_until(lambda: _waiting(node, "escape"))
    assert waiting["reason"] == "CreateContainerConfigError"
    message = waiting["message"]
    assert message.startswith('failed to prepare subPath for volumeMount "h" of container "main": ')
    assert message.endswith(": it leads outside the volume")
    status = node.pod("escape")["status"]
    assert status["phase"] == "Pending"
    assert status["containerStatuses"][0]["restartCount"] == 0
    assert "containerID" not in status["containerStatuses"][0]
    assert any(e["type"] == "Warning" for e in node.events("escape"))
    node.cli("delete", "pod", "escape")


def test_fs_group_owns_the_volume(node: Daemon) -> None:
    said = output(
        node,
        "fsgroup",
        "stat -c %g /v; touch /v/f; stat -c %g /v/f",
        container_fields={
            "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            "securityContext": {"runAsUser": 1000},
        },
        volumes=[{"name": "v", "emptyDir": {}}],
        securityContext={"fsGroup": 4321},
    )
    assert said == "4321\n4321\n"


def test_a_node_selector_that_does_not_match_keeps_the_pod_pending(node: Daemon) -> None:
    node.apply(pod("elsewhere", nodeSelector={"disk": "none-here"}))
    found = wait_until(
        lambda: next(
            (
                c
                for c in node.pod("elsewhere")["status"].get("conditions", [])
                if c["type"] == "PodScheduled" and c["status"] == "False"
            ),
            None,
        )
    )
    assert found["reason"] == "Unschedulable"
    assert found["message"].startswith(
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector"
    )
    assert "FailedScheduling" in [e["reason"] for e in node.events("elsewhere")]
    node.apply(pod("here", nodeSelector={"kubernetes.io/hostname": node.node}))
    node.wait_pod("here")


def test_stdin_and_tty(node: Daemon) -> None:
    node.apply(pod("tty", container("tty; test -t 0 && echo terminal; " + FOREVER, tty=True, stdin=True)))
    node.wait_pod("tty")
    wait_until(lambda: "terminal" in node.out("logs", "tty"))
    assert "/dev/pts/0" in node.out("logs", "tty")


def _waiting(node: Daemon, name: str) -> dict[str, Any] | None:
    statuses = node.pod(name)["status"].get("containerStatuses") or [{}]
    waiting: dict[str, Any] | None = statuses[0].get("state", {}).get("waiting")
    return waiting if waiting and waiting.get("message") else None
