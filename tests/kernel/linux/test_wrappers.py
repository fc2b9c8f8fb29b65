"""Each wrapper does what its man page says, and its error names the call and its operands."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from minipod.linux import (
    bpf,
    capabilities,
    keyring,
    mount,
    namespaces,
    netdevice,
    prctl,
    process,
    pty,
    rlimit,
)
from minipod.linux.bpf import ANY_NUMBER, CHARACTER, READ, WRITE, DeviceRule
from minipod.linux.cgroup2 import cgroup


def in_child(body: Callable[[], object]) -> str:
    """Run `body` in a forked child and give back what it returned, as text; its exception fails the test."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 0
        try:
            os.write(write, str(body()).encode())
        except BaseException as error:
            os.write(write, f"{type(error).__name__}: {error}".encode())
            code = 1
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as file:
        said = file.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, said
    return said


def private_mounts() -> None:
    namespaces.unshare(namespaces.CLONE_NEWNS)
    mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)


# -- mounts ------------------------------------------------------------------------------------------------------


def test_a_new_filesystem_is_mounted_by_descriptor_with_its_options(tmp_path: Path) -> None:
    def body() -> str:
        private_mounts()
        tree = mount.new_mount(
            "tmpfs", "mode=711,size=1m", source="name", attributes=mount.MOUNT_ATTR_NOSUID
        )
        target = os.open(tmp_path, os.O_PATH)
        mount.move_mount(tree, target)
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        return next(line for line in lines if f" {tmp_path} " in line)

    assert "nosuid,relatime - tmpfs name rw,size=1024k,mode=711" in in_child(body)


def test_mount2_takes_empty_source_and_data(tmp_path: Path) -> None:
    def body() -> str:
        private_mounts()
        mount.mount("", str(tmp_path), "tmpfs", 0, "")
        return str(os.path.ismount(tmp_path))

    assert in_child(body) == "True"


def test_a_copy_of_a_mount_changes_alone(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    def body() -> str:
        private_mounts()
        tree = mount.open_tree(str(tmp_path / "a"))
        mount.mount_setattr(tree, attr_set=mount.MOUNT_ATTR_RDONLY)
        mount.move_mount(tree, os.open(tmp_path / "b", os.O_PATH))
        (tmp_path / "a" / "x").touch()
        try:
            (tmp_path / "b" / "y").touch()
        except OSError as error:
            return f"{error.errno} {os.listdir(tmp_path / 'b')}"
        return "written"

    assert in_child(body) == f"{errno.EROFS} ['x']"


def test_pivot_root_exchanges_the_root(tmp_path: Path) -> None:
    def body() -> str:
        private_mounts()
        mount.mount("tmpfs", str(tmp_path), "tmpfs", 0)
        (tmp_path / "only").touch()
        os.chdir(tmp_path)
        mount.pivot_root(".", ".")
        mount.umount2(".", mount.MNT_DETACH)
        os.chdir("/")
        return str(os.listdir("/"))

    assert in_child(body) == "['only']"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: mount.mount("a", "/no/where", "tmpfs", 0, "d"),
            "mount(a, /no/where, tmpfs, 0x0, d): No such file",
        ),
        (lambda: mount.umount2("/no/where", 2), "umount2(/no/where, 2): No such file"),
        (lambda: mount.pivot_root("/no", "/no"), "pivot_root(/no, /no): No such file"),
        (lambda: mount.open_tree("/no/where"), "open_tree(/no/where): No such file"),
        (lambda: mount.move_mount(-1, -1), "move_mount(fd -1, fd -1): Bad file"),
        (lambda: mount.mount_setattr(-1, attr_set=1), "mount_setattr(fd -1, +0x1, -0x0, 0x0): Bad file"),
        (lambda: mount.new_mount("nofs"), "fsopen(nofs): No such device"),
        (lambda: namespaces.setns(-1, 0), "setns(fd -1, 0x0): Bad file"),
        (lambda: namespaces.unshare(1), "unshare(0x1): Invalid argument"),
        (lambda: namespaces.sethostname("x" * 100), f"sethostname({'x' * 100}): Invalid argument"),
        (lambda: prctl.prctl(9999), "prctl(9999, 0, 0): Invalid argument"),
        (lambda: process.clone3(0, cgroup_fd=1 << 20), "clone3(0x200001000): Bad file"),
        (lambda: process.close_range(9, 8), "close_range(9, 8): Invalid argument"),
        (lambda: bpf.attach_device_program(-1, -1), "bpf(BPF_PROG_ATTACH, cgroup fd -1): Bad file"),
    ],
)
def test_errors_name_the_call_and_its_operands(call: Callable[[], object], words: str) -> None:
    with pytest.raises(OSError, match=r".") as caught:
        call()
    assert words in str(caught.value)
    assert caught.value.errno


def test_the_kernels_own_words_about_an_option_are_kept() -> None:
    with pytest.raises(OSError, match=r"fsconfig\(tmpfs, size=bogus\)") as caught:
        mount.new_mount("tmpfs", "mode=755,size=bogus")
    assert caught.value.__notes__ == ["tmpfs: Bad value for 'size'"]


# -- processes and namespaces ------------------------------------------------------------------------------------


def test_a_clone_is_born_in_its_cgroup_and_known_by_pidfd(word: str) -> None:
    group = cgroup.create(cgroup.mount_point(), word)

    def body() -> str:
        fd = cgroup.directory_fd(group)
        read, write = os.pipe()
        pid, pidfd = process.clone3(namespaces.CLONE_NEWPID, cgroup_fd=fd)
        if pid == 0:
            os.write(
                write, f"{os.getpid()} {Path('/proc/self/cgroup').read_text().splitlines()[-1]}".encode()
            )
            os._exit(7)
        said = os.read(read, 100).decode()
        result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        assert result is not None
        return f"{said} {result.si_pid == pid} {result.si_status} {os.get_inheritable(pidfd)}"

    try:
        assert in_child(body) == f"1 0::/{word} True 7 False"
    finally:
        cgroup.remove(group)


def test_a_start_time_tells_two_processes_apart() -> None:
    mine = process.start_time(os.getpid())
    assert mine == process.start_time(os.getpid()) > 0
    with pytest.raises(FileNotFoundError):
        process.start_time(1 << 22)


def test_several_namespaces_are_joined_at_once_by_pidfd() -> None:
    flags = namespaces.CLONE_NEWUTS | namespaces.CLONE_NEWIPC | namespaces.CLONE_NEWNET

    def body() -> str:
        pid, pidfd = process.clone3(flags)
        if pid == 0:
            namespaces.sethostname("there")
            netdevice.bring_up("lo")
            signal.pause()
            os._exit(0)
        while os.uname().nodename != "there":
            namespaces.setns(pidfd, flags)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitpid(pid, 0)
        return os.uname().nodename

    before = os.uname().nodename
    assert in_child(body) == "there"
    assert os.uname().nodename == before


def test_close_range_closes_to_the_end() -> None:
    def body() -> str:
        keep = os.open("/", os.O_PATH)
        for _ in range(5):
            os.open("/", os.O_PATH)
        process.close_range(keep + 1, ~0)
        return str(max(int(fd) for fd in os.listdir("/proc/self/fd")) - keep)

    assert in_child(body) == "1", "the one above is listdir's own"


# -- rights ------------------------------------------------------------------------------------------------------


def test_capability_sets_are_what_was_set() -> None:
    kill = capabilities.to_bits(["CAP_KILL", "CAP_CHECKPOINT_RESTORE"])

    def body() -> str:
        capabilities.limit_bounding(kill, capabilities.last())
        capabilities.capset(effective=0, permitted=kill, inheritable=kill)
        capabilities.set_ambient(kill)
        lines = Path("/proc/self/status").read_text().splitlines()
        found = [int(line.split()[1], 16) for line in lines if line.startswith("Cap")]
        return str(
            found == [kill, kill, 0, kill, kill]
            and capabilities.permitted() == capabilities.bounding() == kill
        )

    assert in_child(body) == "True"


def test_permitted_capabilities_survive_the_change_of_user_when_asked_to() -> None:
    def body() -> str:
        capabilities.keep_across_setuid()
        os.setresuid(1000, 1000, 1000)
        return str(capabilities.permitted() != 0)

    assert in_child(body) == "True"


def test_a_limit_is_set_or_comes_as_near_as_the_hard_one() -> None:
    def body() -> str:
        resource.setrlimit(resource.RLIMIT_NOFILE, (50, 60))
        os.setresuid(1000, 1000, 1000)
        lower = rlimit.set_limit(rlimit.limit("RLIMIT_NOFILE", 20, 40))
        higher = rlimit.set_limit(rlimit.limit("RLIMIT_NOFILE", 30, 2**64 - 1))
        return f"{lower.soft}:{lower.hard} {higher.soft}:{higher.hard} {resource.getrlimit(resource.RLIMIT_NOFILE)}"

    assert in_child(body) == "20:40 30:40 (30, 40)"


def test_a_new_session_keyring_is_another_one() -> None:
    def body() -> str:
        before = Path("/proc/keys").read_text() if Path("/proc/keys").exists() else ""
        if not keyring.join_new_session_keyring():
            return "no keyrings here"
        after = Path("/proc/keys").read_text() if before else "else"
        return "another" if before != after else "the same"

    assert in_child(body) in ("another", "no keyrings here")


def test_names_and_dumpability_are_set() -> None:
    def body() -> str:
        prctl.set_name("a-very-long-thread-name")
        prctl.set_dumpable(dumpable=False)
        prctl.set_no_new_privs()
        prctl.set_child_subreaper()
        prctl.set_parent_death_signal(signal.SIGTERM)
        death = ctypes.c_int()
        prctl.prctl(2, ctypes.addressof(death))
        status = Path("/proc/self/status").read_text()
        name = Path("/proc/self/comm").read_text().strip()
        return str((name, prctl.prctl(3), "NoNewPrivs:\t1" in status, death.value))

    assert in_child(body) == "('a-very-long-thr', 0, True, 15)"


# -- devices and terminals ---------------------------------------------------------------------------------------


def test_a_device_program_decides_for_its_cgroup(word: str) -> None:
    group = cgroup.create(cgroup.mount_point(), word)

    def body() -> str:
        fd = cgroup.directory_fd(group)
        rules = [
            DeviceRule(True, CHARACTER, 1, ANY_NUMBER, READ),
            DeviceRule(False, CHARACTER, 1, 5, READ | WRITE),
        ]
        bpf.attach_device_program(fd, bpf.load_device_program(rules))
        cgroup.add_process(group, os.getpid())
        outcomes = []
        for path, flags in (
            ("/dev/null", os.O_RDONLY),
            ("/dev/null", os.O_WRONLY),
            ("/dev/zero", os.O_RDONLY),
        ):
            try:
                os.close(os.open(path, flags))
                outcomes.append("opened")
            except PermissionError:
                outcomes.append("refused")
        return " ".join(outcomes)

    try:
        assert in_child(body) == "opened refused refused"
    finally:
        cgroup.remove(group)


def test_a_terminal_comes_from_the_devpts_that_was_given(tmp_path: Path) -> None:
    def body() -> str:
        private_mounts()
        tree = mount.new_mount("devpts", "newinstance,ptmxmode=0666,mode=0620", source="devpts")
        mount.move_mount(tree, os.open(tmp_path, os.O_PATH))
        master, slave = pty.open_terminal(tree)
        pty.set_window_size(master, width=91, height=17)
        os.setsid()
        pty.set_controlling_terminal(slave)
        os.write(slave, b"x\n")
        echoed = os.read(master, 10)
        return f"{os.listdir(tmp_path)} {os.get_terminal_size(slave)} {echoed!r} {os.tcgetpgrp(slave) == os.getpid()}"

    said = in_child(body)
    assert "'0'" in said
    assert "columns=91, lines=17" in said
    assert r"b'x\r\n' True" in said


def test_what_is_not_the_multiplexer_is_no_terminal(tmp_path: Path) -> None:
    os.mknod(tmp_path / "ptmx", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    directory = os.open(tmp_path, os.O_PATH)
    with pytest.raises(OSError, match="multiplexer") as caught:
        pty.open_terminal(directory)
    assert caught.value.errno == errno.ENODEV
    (tmp_path / "ptmx").unlink()
    (tmp_path / "ptmx").symlink_to("/dev/ptmx")
    with pytest.raises(OSError, match="symbolic links"):
        pty.open_terminal(directory)
    os.close(directory)
