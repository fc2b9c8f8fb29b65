"""Images, volumes and documents that try to lead a start astray, and starts that cannot succeed."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from minipod.linux.cgroup2 import cgroup
from tests.helpers.wait import wait_until
from tests.kernel.runtime.launching import MASKED, Shim, bind, document, shim


@pytest.fixture
def pod(word: str, workdir: Path) -> Iterator[Shim]:
    with shim(word, workdir) as found:
        yield found


# -- symlinks in images ------------------------------------------------------------------------------------------


def test_a_symlinked_mount_target_stays_inside_the_root(pod: Shim, workdir: Path) -> None:
    outside, volume = workdir / "outside", workdir / "volume"
    outside.mkdir()
    volume.mkdir()
    (volume / "mark").touch()
    (pod.root / "data").symlink_to(outside)
    (pod.root / "up").symlink_to("../../../../../.." + str(outside))
    oci = document("/bin/sh", "-c", f"ls {outside}; ls /data; ls /up; cat")
    oci["mounts"] += [bind(volume, "/data/deep"), bind(volume, "/up/deep")]
    started = pod.start(oci)
    pod.ask("expect", name=started["name"], text="deep\n" * 3)
    assert list(outside.iterdir()) == []
    assert str(outside) not in pod.ask("mounts")["mountinfo"]


def test_the_missing_target_of_a_dangling_symlink_is_made_inside(pod: Shim, workdir: Path) -> None:
    (workdir / "resolv.conf").write_text("nameserver 192.0.2.1\n")
    (pod.root / "etc" / "resolv.conf").symlink_to("/run/systemd/resolve/stub-resolv.conf")
    oci = document("/bin/cat", "/etc/resolv.conf", "/run/systemd/resolve/stub-resolv.conf")
    oci["mounts"].append(bind(workdir / "resolv.conf", "/etc/resolv.conf"))
    assert pod.run(oci)["stdout"] == "nameserver 192.0.2.1\n" * 2


def test_a_symlink_loop_as_mount_target_is_an_error_that_names_it(pod: Shim, workdir: Path) -> None:
    (pod.root / "loop").symlink_to("loop")
    oci = document("/bin/true")
    oci["mounts"].append(bind(workdir, "/loop/x"))
    failure = pod.fail(oci)
    assert failure["message"] == f"mount {workdir} to /loop/x: too many levels of symbolic links"


def test_proc_as_a_symlink_is_refused(pod: Shim) -> None:
    (pod.root / "proc").rmdir()
    (pod.root / "proc").symlink_to("/tmp")
    failure = pod.fail(document("/bin/true"))
    assert (failure["stage"], failure["operand"], failure["errno"]) == ("mount", "/proc", errno.ELOOP)
    assert "not through a symlink" in failure["message"]


def test_dev_as_a_symlink_to_the_hosts_gets_its_nodes_inside(pod: Shim, workdir: Path) -> None:
    fake = workdir / "hostdev"
    fake.mkdir()
    (pod.root / "dev").rmdir()
    (pod.root / "dev").symlink_to(fake)
    assert pod.sh("ls /dev/null /dev/pts/ptmx") == "/dev/null\n/dev/pts/ptmx\n"
    assert list(fake.iterdir()) == []


def test_a_masked_path_reached_by_symlink_masks_nothing_outside(pod: Shim, workdir: Path) -> None:
    (workdir / "secret").write_text("kept\n")
    (pod.root / "link").symlink_to(workdir / "secret")
    oci = document("/bin/true")
    oci["linux"]["maskedPaths"] = [*MASKED, "/link"]
    assert pod.run(oci)["code"] == 0
    assert (workdir / "secret").read_text() == "kept\n"


def test_magic_links_lead_nowhere(pod: Shim, workdir: Path) -> None:
    (pod.root / "self").symlink_to("/proc/self/root")
    oci = document("/bin/true")
    oci["mounts"].append(bind(workdir, "/self/x"))
    assert pod.fail(oci)["errno"] == errno.ELOOP
    for number in range(3, 12):
        failure = pod.fail(document("/bin/true", cwd=f"/proc/self/fd/{number}"))
        assert failure["stage"] == "cwd"


def test_a_device_node_that_is_a_symlink_in_the_image_is_not_followed(pod: Shim, workdir: Path) -> None:
    (workdir / "victim").write_text("kept\n")
    (pod.root / "dev" / "null").symlink_to(workdir / "victim")
    oci = document("/bin/sh", "-c", "echo gone > /dev/null")
    del oci["mounts"][1:]
    pod.run(oci)
    assert (workdir / "victim").read_text() == "kept\n"


# -- volumes -----------------------------------------------------------------------------------------------------


def exchange(one: Path, other: Path) -> None:
    """renameat2(2) with RENAME_EXCHANGE."""
    if ctypes.CDLL(None).renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2) != 0:
        raise AssertionError("renameat2 failed")


def subpath(volume: Path, path: str) -> list[dict[str, str]]:
    return [{"volume": str(volume), "subpath": path, "target": "/subpaths/0"}]


def test_a_subpath_is_bound_without_its_target_existing_on_the_host(pod: Shim, workdir: Path) -> None:
    volume = workdir / "volume"
    (volume / "a").mkdir(parents=True)
    (volume / "a" / "file").write_text("found\n")
    (volume / "a" / "link").symlink_to("file")
    for path, script in (("a", "cat /data/file"), ("a/file", "cat /data"), ("a/link", "cat /data")):
        oci = document("/bin/sh", "-c", script)
        oci["mounts"].append(bind("/subpaths/0", "/data", "ro"))
        assert pod.run(oci, subpaths=subpath(volume, path))["stdout"] == "found\n"


def test_a_missing_subpath_is_made_as_open_as_its_volume(pod: Shim, workdir: Path) -> None:
    volume = workdir / "volume"
    volume.mkdir()
    volume.chmod(0o2777)
    oci = document("/bin/sh", "-c", "touch /data/x")
    oci["mounts"].append(bind("/subpaths/0", "/data"))
    assert pod.run(oci, subpaths=subpath(volume, "new/deep"))["code"] == 0
    assert (volume / "new" / "deep" / "x").exists()
    assert (volume / "new" / "deep").stat().st_mode & 0o7777 == 0o2777


@pytest.mark.parametrize("path", ["out", "up", "a/../../x", "/abs", "chain"])
def test_a_subpath_that_leaves_the_volume_is_refused(pod: Shim, workdir: Path, path: str) -> None:
    volume = workdir / "volume"
    (volume / "a").mkdir(parents=True)
    (workdir / "x").mkdir()
    (volume / "out").symlink_to("/etc")
    (volume / "up").symlink_to("../x")
    (volume / "chain").symlink_to("up")
    oci = document("/bin/true")
    oci["mounts"].append(bind("/subpaths/0", "/data"))
    failure = pod.fail(oci, subpaths=subpath(volume, path))
    assert (failure["stage"], failure["operand"]) == ("subPath", path)
    assert failure["message"].endswith((": it leads outside the volume", ": must be a relative path"))


def test_a_renaming_attacker_cannot_lead_a_subpath_outside(pod: Shim, workdir: Path) -> None:
    volume, outside = workdir / "volume", workdir / "outside"
    (volume / "dir" / "sub").mkdir(parents=True)
    (volume / "dir" / "sub" / "inside").touch()
    (outside / "sub").mkdir(parents=True)
    (outside / "sub" / "escaped").touch()
    (volume / "link").symlink_to(outside)
    stop = threading.Event()

    def attack() -> None:
        while not stop.is_set():
            exchange(volume / "dir", volume / "link")

    attacker = threading.Thread(target=attack)
    attacker.start()
    try:
        outcomes = set()
        for _ in range(200):
            if len(outcomes) == 2:
                break
            oci = document("/bin/ls", "/data")
            oci["mounts"].append(bind("/subpaths/0", "/data"))
            started = pod.start(oci, subpaths=subpath(volume, "dir/sub"))
            if started["failure"]:
                assert started["failure"]["stage"] == "subPath"
                outcomes.add("refused")
            else:
                outcomes.add(pod.ask("finish", name=started["name"])["stdout"].strip())
    finally:
        stop.set()
        attacker.join()
    assert outcomes <= {"inside", "refused"}
    assert len(outcomes) == 2, "the attacker never came in between"


# -- commands ----------------------------------------------------------------------------------------------------


def test_a_missing_command_is_named(pod: Shim) -> None:
    failure = pod.fail(document("/bin/nope"))
    assert failure["message"] == "exec /bin/nope: no such file or directory"
    assert (failure["stage"], failure["errno"], failure["operand"]) == ("exec", errno.ENOENT, "/bin/nope")
    assert failure["code"] == 127


def test_a_command_that_is_not_in_path_is_named(pod: Shim) -> None:
    failure = pod.fail(document("nope"))
    assert failure["message"] == 'exec: "nope": executable file not found in $PATH'
    assert failure["code"] == 127


def test_a_file_that_is_not_executable_is_named(pod: Shim) -> None:
    (pod.root / "bin" / "data").write_text("x")
    for command in ("/bin/data", "data"):
        failure = pod.fail(document(command))
        assert failure["message"] == "exec /bin/data: permission denied"
        assert failure["code"] == 126


def test_a_directory_as_command_is_said_to_be_one(pod: Shim) -> None:
    failure = pod.fail(document("/bin"))
    assert failure["message"] == "exec /bin: is a directory"
    assert failure["code"] == 126


def test_a_file_of_no_known_format_is_named(pod: Shim) -> None:
    (pod.root / "bin" / "odd").write_text("no format")
    (pod.root / "bin" / "odd").chmod(0o755)
    failure = pod.fail(document("/bin/odd"))
    assert failure["message"] == "exec /bin/odd: exec format error"
    assert failure["code"] == 126


def test_a_missing_interpreter_is_named(pod: Shim) -> None:
    script = pod.root / "bin" / "script"
    script.write_text("#!/usr/bin/missing -x\n")
    script.chmod(0o755)
    failure = pod.fail(document("script"))
    assert failure["message"].endswith("its interpreter /usr/bin/missing is not there")


def test_a_missing_loader_of_a_dynamic_program_is_named(pod: Shim) -> None:
    program = pod.root / "bin" / "dynamic"
    program.write_bytes(Path(os.path.realpath(sys.executable)).read_bytes())
    program.chmod(0o755)
    assert "its interpreter /lib" in pod.fail(document("/bin/dynamic"))["message"]


def test_a_command_on_a_noexec_volume_is_refused(pod: Shim, workdir: Path) -> None:
    pod.ask("tmpfs", target=str(workdir / "v"), options="size=4m,noexec")
    oci = document("/bin/cp", "/bin/busybox", "/v/echo")
    oci["mounts"].append(bind(workdir / "v", "/v"))
    assert pod.run(oci)["code"] == 0
    oci["process"]["args"] = ["/v/echo"]
    failure = pod.fail(oci)
    assert failure["message"] == "exec /v/echo: permission denied"


def test_no_command_at_all_is_said(pod: Shim) -> None:
    assert pod.fail(document())["message"] == "no command: args is empty"


# -- documents ---------------------------------------------------------------------------------------------------


def test_a_working_directory_that_is_a_file_is_named(pod: Shim) -> None:
    failure = pod.fail(document("/bin/true", cwd="/etc/passwd"))
    assert failure["message"] == 'make working directory "/etc/passwd": not a directory'


def test_a_working_directory_missing_on_a_read_only_volume_is_named(pod: Shim, workdir: Path) -> None:
    oci = document("/bin/true", cwd="/data/none")
    (workdir / "volume").mkdir()
    oci["mounts"].append(bind(workdir / "volume", "/data", "ro"))
    assert pod.fail(oci)["message"] == 'make working directory "/data/none": read-only file system'


@pytest.mark.parametrize(
    "user", [{"uid": 0xFFFFFFFF, "gid": 0}, {"uid": 0, "gid": -1}, {"uid": 1 << 40, "gid": 0}]
)
def test_an_impossible_user_is_named(pod: Shim, user: dict[str, int]) -> None:
    failure = pod.fail(document("/bin/true", user=user))
    assert failure["stage"] == "user"
    assert failure["message"].startswith(f"user {user['uid']}:{user['gid']}: ")


def test_a_missing_mount_source_names_source_and_target(pod: Shim, workdir: Path) -> None:
    oci = document("/bin/true")
    oci["mounts"].append(bind(workdir / "gone", "/data"))
    assert pod.fail(oci)["message"] == f"mount {workdir}/gone to /data: no such file or directory"


def test_a_directory_onto_a_file_says_what_is_wrong(pod: Shim, workdir: Path) -> None:
    oci = document("/bin/true")
    oci["mounts"].append(bind(workdir, "/etc/passwd"))
    message = pod.fail(oci)["message"]
    assert message.startswith(f"mount {workdir} to /etc/passwd: not a directory")


def test_a_layer_that_is_a_file_is_named(pod: Shim, workdir: Path) -> None:
    (workdir / "file").touch()
    failure = pod.fail(document("/bin/true"), lower=[workdir / "file"])
    assert failure["message"] == f"image layer {workdir}/file: not a directory"


def test_a_bad_option_comes_with_the_kernels_own_words(pod: Shim) -> None:
    oci = document("/bin/true")
    oci["mounts"].append(
        {"destination": "/x", "type": "tmpfs", "source": "tmpfs", "options": ["size=bogus"]}
    )
    assert "Bad value for 'size'" in pod.fail(oci)["message"]


def test_a_sysctl_of_the_whole_host_is_refused(pod: Shim) -> None:
    before = Path("/proc/sys/kernel/panic").read_text()
    oci = document("/bin/true")
    oci["linux"]["sysctl"] = {"kernel.panic": "77"}
    assert "not namespaced" in pod.fail(oci)["message"]
    oci = document("/bin/true")
    oci["linux"]["namespaces"] = [{"type": "mount"}]
    oci["linux"]["sysctl"] = {"net.ipv4.ip_forward": "0"}
    assert "needs a network namespace" in pod.fail(oci)["message"]
    assert Path("/proc/sys/kernel/panic").read_text() == before


def test_what_is_not_supported_is_refused_not_ignored(pod: Shim) -> None:
    oci = document("/bin/true")
    oci["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ERRNO"}
    assert pod.fail(oci)["message"] == "linux.seccomp: not supported by this version of minipod"


def test_an_exec_into_an_ended_container_says_so(pod: Shim) -> None:
    started = pod.start(document("/bin/cat"), name="gone")
    pod.kill("gone")
    wait_until(lambda: Path(f"/proc/{started['pid']}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
    failure = pod.exec("gone", document("/bin/true")["process"])["failure"]
    assert (failure["stage"], failure["errno"]) == ("clone", errno.ESRCH)


def test_a_pid_limit_that_is_reached_is_said_to_be_that(pod: Shim) -> None:
    if "pids" not in cgroup.controllers(cgroup.mount_point()):
        pytest.skip("this host's cgroup2 has no pids controller")
    pod.ask("limit", name="small", file="pids.max", value="0")
    failure = pod.fail(document("/bin/true"), name="small")
    assert (failure["stage"], failure["errno"]) == ("clone", errno.EAGAIN)
    assert "the pids limit of the cgroup" in failure["message"]


def test_a_failed_start_leaves_no_process_and_no_mount(pod: Shim) -> None:
    before = pod.ask("mounts")["mountinfo"]
    failure = pod.fail(document("/bin/nope"), name="bad")
    assert failure["code"] == 127
    assert pod.ask("mounts")["mountinfo"] == before


# -- the host's files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guarded", [True, False])
def test_an_idle_interpreter_cannot_be_written_through_its_exe_link(workdir: Path, *, guarded: bool) -> None:
    """What CVE-2019-5736 did to runc: hold the exe link of the host's program until nobody runs it."""
    python = workdir / "python"
    python.write_bytes(Path(os.path.realpath(sys.executable)).read_bytes())
    python.chmod(0o755)
    project = Path(__file__).parent.parent.parent.parent
    guard = f"import sys; sys.path.insert(0, {str(project)!r})\n"
    guard += "from minipod.runtime import readonly_exe\nreadonly_exe.ensure()\n"
    code = (guard if guarded else "") + "print('up', flush=True); input()"
    environment = {**os.environ, "PYTHONHOME": sys.base_prefix}
    child = subprocess.Popen(
        [str(python), "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"up\n"
    exe = os.open(f"/proc/{child.pid}/exe", os.O_PATH)
    child.communicate(b"\n")
    if guarded:
        with pytest.raises(OSError, match="Read-only file system"):
            os.open(f"/proc/self/fd/{exe}", os.O_WRONLY)
    else:
        os.close(os.open(f"/proc/self/fd/{exe}", os.O_WRONLY))
    os.close(exe)


@pytest.fixture
def disk() -> str:
    """The device numbers of one of the host's disks, as mknod takes them."""
    found = next((s for s in map(Path("/dev").joinpath, os.listdir("/dev")) if s.is_block_device()), None)
    if found is None:
        pytest.skip("this host has no block device")
    number = found.stat().st_rdev
    return f"{os.major(number)} {os.minor(number)}"


def test_a_container_cannot_open_a_node_of_the_hosts_disk_it_made_itself(pod: Shim, disk: str) -> None:
    done = pod.run(document("/bin/sh", "-c", f"mknod /tmp/disk b {disk} && ! head -c1 /tmp/disk"))
    assert done["code"] == 0
    assert "Operation not permitted" in done["stderr"]


def test_a_privileged_container_may_open_it(pod: Shim, disk: str) -> None:
    oci = document("/bin/sh", "-c", f"mknod /tmp/disk b {disk} && head -c1 /tmp/disk")
    oci["linux"]["resources"]["devices"] = [{"allow": True, "access": "rwm"}]
    assert pod.run(oci)["code"] == 0


def test_the_child_can_be_killed_at_any_moment_of_its_start(pod: Shim) -> None:
    """SIGTERM while it is still Python must neither run the shim's handlers nor hang."""
    started = pod.start(document("/bin/sleep", "1000"))
    pod.kill(started["name"], signal.SIGKILL)
    assert pod.ask("finish", name=started["name"])["code"] == 137
