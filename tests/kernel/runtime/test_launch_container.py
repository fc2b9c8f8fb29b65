"""What a started container is: its namespaces, its root and mounts, its process."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.wait import wait_until
from tests.kernel.runtime.launching import MASKED, Shim, bind, document, namespace, shim


@pytest.fixture
def pod(word: str, workdir: Path) -> Iterator[Shim]:
    with shim(word, workdir) as found:
        yield found


def test_its_output_streams_are_apart_and_its_code_comes_back(pod: Shim) -> None:
    done = pod.run(document("/bin/sh", "-c", "echo out; echo err >&2; exit 7"))
    assert (done["stdout"], done["stderr"], done["code"]) == ("out\n", "err\n", 7)


def test_standard_input_reaches_it(pod: Shim) -> None:
    started = pod.start(document("/bin/cat"))
    pod.ask("write", name=started["name"], text="hello\n")
    assert pod.ask("expect", name=started["name"], text="hello")["stdout"] == "hello\n"
    assert pod.ask("finish", name=started["name"])["code"] == 0


def test_it_is_pid_1_of_its_own_pid_namespace_and_sees_nobody_else(pod: Shim) -> None:
    assert pod.sh("echo $$; ls /proc | grep -c '^[0-9]*$'").split() == ["1", "3"]


def test_it_is_born_in_its_cgroup_which_is_the_root_it_sees(pod: Shim) -> None:
    started = pod.start(document("/bin/sh", "-c", "grep ^0: /proc/self/cgroup; cat"), name="inside")
    shown = pod.ask("expect", name="inside", text="0::")["stdout"]
    outside = Path(f"/proc/{started['pid']}/cgroup").read_text().splitlines()[-1]
    assert shown == "0::/\n"
    assert outside == f"0::/{pod.group}/inside"
    pod.ask("finish", name="inside")


def test_it_joins_the_namespaces_of_the_infra_process_it_is_told_to_join(pod: Shim) -> None:
    infra = pod.infra()
    started = pod.start(document("/bin/cat", infra_pid=infra), infra="infra")
    pid = started["pid"]
    for kind in ("net", "ipc", "uts"):
        assert namespace(pid, kind) == namespace(infra, kind) != namespace(os.getpid(), kind)
    for kind in ("pid", "mnt", "cgroup"):
        assert len({namespace(pid, kind), namespace(infra, kind), namespace(os.getpid(), kind)}) == 3 - (
            kind in ("pid", "cgroup")
        )


def test_by_path_alone_it_joins_them_too(pod: Shim) -> None:
    infra = pod.infra()
    started = pod.start(document("/bin/cat", infra_pid=infra))
    assert namespace(started["pid"], "net") == namespace(infra, "net")


def test_with_a_shared_pid_namespace_the_infra_process_is_its_init(pod: Shim) -> None:
    infra = pod.infra(pid="pod")
    oci = document("/bin/sh", "-c", "until grep -x pause /proc/1/comm; do :; done; echo $$", infra_pid=infra)
    oci["linux"]["namespaces"][0]["path"] = f"/proc/{infra}/ns/pid"
    done = pod.run(oci, infra="infra")
    assert done["stdout"] == "pause\n2\n"


def test_namespaces_it_does_not_list_are_the_hosts(pod: Shim) -> None:
    oci = document("/bin/cat")
    oci["linux"]["namespaces"] = [{"type": "mount"}]
    started = pod.start(oci)
    for kind in ("pid", "net", "ipc", "uts", "cgroup"):
        assert namespace(started["pid"], kind) == namespace(os.getpid(), kind)


def test_the_hostname_of_a_new_uts_namespace_is_set(pod: Shim) -> None:
    assert pod.run(document("/bin/hostname") | {"hostname": "inside"})["stdout"] == "inside\n"


def test_its_environment_is_the_documents_and_nothing_else(pod: Shim) -> None:
    done = pod.run(document("/bin/env", env=["A=1", "HOME=/x", "A=2", "EMPTY=", "WITH=a=b c"]))
    assert sorted(done["stdout"].splitlines()) == ["A=2", "EMPTY=", "HOME=/x", "WITH=a=b c"]


def test_home_comes_from_the_images_passwd_when_the_document_has_none(pod: Shim) -> None:
    done = pod.run(document("/bin/env", env=[], user={"uid": 1000, "gid": 1000}))
    assert done["stdout"] == "HOME=/home/user\n"


def test_writes_go_to_the_upper_layer_and_leave_the_image_alone(pod: Shim) -> None:
    done = pod.run(document("/bin/sh", "-c", "echo new > /tmp/file; rm /etc/passwd"))
    assert done["code"] == 0
    upper = pod.directory / f"rw-{done['name']}" / "upper"
    assert (upper / "tmp" / "file").read_text() == "new\n"
    assert not (pod.root / "tmp" / "file").exists()
    assert (pod.root / "etc" / "passwd").exists()


def test_layers_lie_upon_each_other_uppermost_first(pod: Shim, workdir: Path) -> None:
    top = workdir / "top"
    (top / "etc").mkdir(parents=True)
    (top / "etc" / "passwd").write_text("upper\n")
    assert pod.run(document("/bin/cat", "/etc/passwd"), lower=[top, pod.root])["stdout"] == "upper\n"


def test_very_many_layers_with_difficult_names_do_not_matter(pod: Shim, workdir: Path) -> None:
    layers = [workdir / f"layer,with:colons\\and-{'long' * 40}-{n}" for n in range(60)]
    for number, layer in enumerate(layers):
        layer.mkdir()
        (layer / f"file{number}").touch()
    done = pod.run(document("/bin/sh", "-c", "ls / | grep -c ^file"), lower=[*layers, pod.root])
    assert done["stdout"] == "60\n"


def test_a_read_only_root_refuses_writes_but_volumes_take_them(pod: Shim, workdir: Path) -> None:
    (workdir / "volume").mkdir()
    oci = document("/bin/sh", "-c", "touch /data/x && ! touch /x && ! touch /tmp/x && touch /dev/shm/x")
    oci["root"]["readonly"] = True
    oci["mounts"].append(bind(workdir / "volume", "/data"))
    done = pod.run(oci)
    assert done["code"] == 0
    assert done["stderr"].count("Read-only file system") == 2


def test_a_bound_file_and_a_bound_directory_appear_where_the_image_has_nothing(
    pod: Shim, workdir: Path
) -> None:
    (workdir / "dir").mkdir()
    (workdir / "dir" / "in").write_text("deep\n")
    (workdir / "file").write_text("shallow\n")
    oci = document("/bin/cat", "/new/place/in", "/etc/made/up.conf")
    oci["mounts"] += [bind(workdir / "dir", "/new/place"), bind(workdir / "file", "/etc/made/up.conf")]
    assert pod.run(oci)["stdout"] == "deep\nshallow\n"


def test_a_read_only_bind_keeps_the_flags_its_source_has(pod: Shim, workdir: Path) -> None:
    pod.ask("tmpfs", target=str(workdir / "shared"), options="nosuid,noexec,size=1m")
    oci = document("/bin/sh", "-c", "grep ' /data ' /proc/self/mountinfo; touch /data/x")
    oci["mounts"].append(bind(workdir / "shared", "/data", "ro"))
    done = pod.run(oci)
    assert re.search(r" /data ro,nosuid,noexec,relatime ", done["stdout"])
    assert "Read-only file system" in done["stderr"]


def test_read_only_concerns_the_mount_and_rro_those_below_it_too(pod: Shim, workdir: Path) -> None:
    (workdir / "outer").mkdir()
    pod.ask("tmpfs", target=str(workdir / "outer" / "inner"), options="size=1m")
    oci = document("/bin/sh", "-c", "touch /ro/inner/x && ! touch /ro/x && ! touch /rro/inner/x")
    oci["mounts"] += [bind(workdir / "outer", "/ro", "ro"), bind(workdir / "outer", "/rro", "rro")]
    done = pod.run(oci)
    assert done["code"] == 0, done


def test_a_tmpfs_of_the_sandbox_is_seen_by_its_containers_and_not_by_the_host(
    pod: Shim, workdir: Path
) -> None:
    target = workdir / "memory"
    pod.ask("tmpfs", target=str(target), options="size=1m,mode=1777")
    oci = document("/bin/sh", "-c", "echo kept > /m/file; stat -c %a /m")
    oci["mounts"].append(bind(target, "/m"))
    assert pod.run(oci)["stdout"] == "1777\n"
    again = document("/bin/cat", "/m/file")
    again["mounts"].append(bind(target, "/m"))
    assert pod.run(again)["stdout"] == "kept\n"
    assert list(target.iterdir()) == []


@pytest.mark.parametrize(("option", "seen"), [("rslave", "inner\n"), ("rprivate", "")])
def test_later_mounts_of_the_node_reach_slaves_only(
    pod: Shim, workdir: Path, option: str, seen: str
) -> None:
    outer = workdir / "outer"
    pod.ask("tmpfs", target=str(outer), options="size=1m")
    pod.ask("share", target=str(outer))
    oci = document("/bin/sh", "-c", "read line; grep -o inner /proc/self/mountinfo; true")
    oci["mounts"].append(
        {"destination": "/data", "type": "bind", "source": str(outer), "options": ["rbind", option]}
    )
    started = pod.start(oci)
    pod.ask("tmpfs", target=str(outer / "inner"), options="size=1m")
    pod.ask("write", name=started["name"], text="go\n")
    assert pod.ask("finish", name=started["name"])["stdout"] == seen


def test_masked_files_and_directories_are_empty_and_missing_ones_do_not_matter(pod: Shim) -> None:
    script = "".join(f"[ -d {p} ] && ls -A {p}; [ -f {p} -o -c {p} ] && cat {p};" for p in MASKED) + "true"
    assert pod.sh(script) == ""
    assert (
        pod.sh("ls /proc/timer_list /sys/firmware -d | wc -l; touch /sys/firmware/x 2>/dev/null || echo no")
        == "2\nno\n"
    )


def test_read_only_paths_cannot_be_written_even_by_root(pod: Shim) -> None:
    files = (
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/irq/default_smp_affinity",
    )
    done = pod.run(document("/bin/sh", "-c", ";".join(f"echo 1 > {file}" for file in files)))
    assert done["stderr"].count("Read-only file system") == len(files)


def test_dev_has_the_default_nodes_and_links(pod: Shim) -> None:
    nodes = "for n in null zero full random urandom tty; do stat -c '%n %t:%T %a' $n; done"
    listed = pod.sh(f"cd /dev; {nodes}; ls -l | grep -o '[a-z]* -> .*'")
    assert listed.splitlines() == [
        "null 1:3 666",
        "zero 1:5 666",
        "full 1:7 666",
        "random 1:8 666",
        "urandom 1:9 666",
        "tty 5:0 666",
        *(["core -> /proc/kcore"] if Path("/proc/kcore").exists() else []),
        "fd -> /proc/self/fd",
        "ptmx -> pts/ptmx",
        "stderr -> /proc/self/fd/2",
        "stdin -> /proc/self/fd/0",
        "stdout -> /proc/self/fd/1",
    ]


def test_a_device_of_the_document_is_made_and_may_be_used(pod: Shim) -> None:
    oci = document("/bin/sh", "-c", "stat -c '%t:%T %a %u:%g' /dev/sub/kmsg && head -c0 /dev/sub/kmsg")
    oci["linux"]["devices"] = [
        {
            "path": "/dev/sub/kmsg",
            "type": "c",
            "major": 1,
            "minor": 11,
            "fileMode": 0o640,
            "uid": 7,
            "gid": 8,
        }
    ]
    oci["linux"]["resources"]["devices"].append(
        {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "rwm"}
    )
    assert pod.run(oci)["stdout"] == "1:b 640 7:8\n"


def test_with_the_hosts_dev_bound_nothing_is_made_in_it(pod: Shim, workdir: Path) -> None:
    dev = workdir / "dev"
    dev.mkdir()
    oci = document("/bin/true")
    oci["mounts"] = [oci["mounts"][0], bind(dev, "/dev")]
    oci["linux"]["maskedPaths"] = []
    assert pod.run(oci)["code"] == 0
    assert list(dev.iterdir()) == []


def test_a_view_of_its_own_cgroup_is_mounted_read_only(pod: Shim) -> None:
    oci = document("/bin/sh", "-c", "cat /sys/fs/cgroup/cgroup.procs; mkdir /sys/fs/cgroup/x")
    oci["mounts"].append(
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro", "nosuid"]}
    )
    done = pod.run(oci)
    assert done["stdout"].split() == ["1", "2"]
    assert "Read-only file system" in done["stderr"]


def test_mounts_of_the_container_do_not_reach_the_shim(pod: Shim, workdir: Path) -> None:
    before = pod.ask("mounts")["mountinfo"]
    (workdir / "volume").mkdir()
    oci = document("/bin/cat")
    oci["mounts"].append(bind(workdir / "volume", "/data"))
    pod.start(oci)
    assert pod.ask("mounts")["mountinfo"] == before


def test_the_old_root_is_out_of_reach(pod: Shim) -> None:
    mounts = pod.sh("cat /proc/self/mountinfo").splitlines()
    assert mounts[0].split()[4] == "/"
    assert " overlay overlay " in mounts[0]
    roots = [line for line in mounts if line.split()[4] == "/"]
    assert len(roots) == 1


def test_the_working_directory_is_made_when_the_image_lacks_it(pod: Shim) -> None:
    assert pod.run(document("/bin/pwd", cwd="/made/by/start"))["stdout"] == "/made/by/start\n"


def test_the_command_is_found_in_the_containers_own_path(pod: Shim, workdir: Path) -> None:
    (pod.root / "odd").mkdir()
    script = pod.root / "odd" / "command"
    script.write_text("#!/bin/sh\necho found $1\n")
    script.chmod(0o755)
    assert pod.run(document("command", "it", env=["PATH=/nowhere:/odd"]))["stdout"] == "found it\n"


def test_a_relative_command_is_relative_to_the_working_directory(pod: Shim) -> None:
    assert pod.run(document("./echo", "hi", cwd="/bin"))["stdout"] == "hi\n"


def test_a_signal_that_ends_it_shows_in_the_code(pod: Shim) -> None:
    started = pod.start(document("/bin/sleep", "1000"))
    pod.kill(started["name"], signal.SIGKILL)
    assert pod.ask("finish", name=started["name"])["code"] == 137


def test_a_held_container_is_ready_but_has_not_run(pod: Shim, workdir: Path) -> None:
    (workdir / "volume").mkdir()
    oci = document("/bin/sh", "-c", "echo ran > /data/mark; cat /data/late")
    oci["mounts"].append(bind(workdir / "volume", "/data"))
    held = pod.start(oci, name="held", hold=True)
    root = Path(f"/proc/{held['pid']}/root")
    wait_until(lambda: (root / "data").is_mount())
    assert not (workdir / "volume" / "mark").exists()
    (workdir / "volume" / "late").write_text("in time\n")
    assert pod.ask("proceed")["failure"] is None
    assert pod.ask("finish", name="held")["stdout"] == "in time\n"
    assert (workdir / "volume" / "mark").exists()


def test_a_held_container_tells_of_a_missing_command_when_it_is_let_go(pod: Shim) -> None:
    pod.start(document("/bin/nope"), hold=True)
    assert pod.ask("proceed")["failure"]["message"] == "exec /bin/nope: no such file or directory"


def test_letting_go_of_a_held_container_that_has_failed_does_no_harm(pod: Shim) -> None:
    pod.start(document("/bin/true", cwd="/etc/passwd"), hold=True)
    assert pod.ask("proceed")["failure"]["stage"] == "cwd"


def test_sysctls_of_its_own_namespaces_are_set(pod: Shim) -> None:
    oci = document(
        "/bin/cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start", "/proc/sys/kernel/shm_rmid_forced"
    )
    oci["linux"]["sysctl"] = {"net.ipv4.ip_unprivileged_port_start": "80", "kernel.shm_rmid_forced": "1"}
    assert pod.run(oci)["stdout"].split() == ["80", "1"]


def test_root_propagation_is_private_unless_asked_for(pod: Shim) -> None:
    oci = document("/bin/head", "-n1", "/proc/self/mountinfo")
    assert "shared:" not in pod.run(oci)["stdout"]
    oci["linux"]["rootfsPropagation"] = "shared"
    assert "shared:" in pod.run(oci)["stdout"]
