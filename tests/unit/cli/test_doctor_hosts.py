"""What doctor says of hosts as they are found in the world: why a controller is not there, and what mends it."""

from __future__ import annotations

import dataclasses

import pytest

from minipod.cli.health import boot
from minipod.cli.health.boot import Boot, change
from minipod.cli.health.cgroup_facts import cgroup_mount, container_kind, subsystems, v1_mounts
from minipod.cli.health.checks import Facts, Result
from minipod.cli.health.controllers import Cgroups, explain
from minipod.cli.health.facts import kernel_options, shutdown_delay, systemd_version
from minipod.cli.health.judgements import at_least, cgroup, delegation, logind, pressure, swap, systemd
from minipod.linux.cgroup2.delegation import Level

ALL = frozenset(("cpuset", "cpu", "io", "memory", "hugetlb", "pids"))
NONE: frozenset[str] = frozenset()

MODERN = """\
#subsys_name	hierarchy	num_cgroups	enabled
cpuset	0	70	1
cpu	0	70	1
cpuacct	0	70	1
blkio	0	70	1
memory	0	70	1
devices	0	70	1
freezer	0	70	1
hugetlb	0	70	1
pids	0	70	1
"""

LEGACY = MODERN.replace("\t0\t", "\t4\t")
PI = MODERN.replace("memory\t0\t70\t1", "memory\t0\t70\t0")

PI_CMDLINE = (
    "coherent_pool=1M 8250.nr_uarts=0 cgroup_disable=memory console=serial0,115200 console=tty1 "
    "root=PARTUUID=4f5ac4b1-02 rootfstype=ext4 fsck.repair=yes rootwait"
)
DEBIAN_GRUB = Boot(
    cmdline=("root=/dev/vda1", "ro", "quiet"),
    files=frozenset((boot.GRUB_FILE,)),
    programs=frozenset(("update-grub", "grub-mkconfig")),
)

HYBRID_MOUNTS = """\
31 23 0:28 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
32 31 0:29 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw,nsdelegate
35 31 0:32 / /sys/fs/cgroup/memory rw,nosuid shared:15 - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:16 - cgroup cgroup rw,cpu,cpuacct
38 31 0:35 / /sys/fs/cgroup/blkio rw,nosuid shared:18 - cgroup cgroup rw,blkio
39 31 0:36 / /sys/fs/cgroup/pids rw,nosuid shared:19 - cgroup cgroup rw,pids
"""


def host(
    cgroups: str = MODERN,
    *,
    mounts: str = "",
    way: tuple[Level, ...] = (),
    top: frozenset[str] = ALL,
    machine: Boot = DEBIAN_GRUB,
    cmdline: str = "",
) -> Cgroups:
    """`top`: what the real root has, where no `way` is given."""
    if cmdline:
        machine = dataclasses.replace(machine, cmdline=tuple(cmdline.split()))
    return Cgroups(
        subsystems=subsystems(cgroups),
        v1_mounts=v1_mounts(mounts),
        way=way or (Level("/sys/fs/cgroup", top, top, real_root=True),),
        boot=machine,
    )


def container(name: str, path: str, has: frozenset[str], *, occupied: bool = False) -> Cgroups:
    level = Level(path, has, NONE, occupied=occupied)
    return host(way=(level,), machine=Boot(container=name))


PI_MACHINE = Boot(model="Raspberry Pi 4 Model B Rev 1.4", files=frozenset(("/boot/firmware/cmdline.txt",)))

EXPLAINED = {
    "Debian 12: all there": ("memory", host(), "available", ""),
    "Debian 10: systemd's hybrid layout": (
        "memory",
        host(LEGACY, mounts=HYBRID_MOUNTS, top=NONE),
        "mounted as cgroup v1 at /sys/fs/cgroup/memory",
        "add systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all to the kernel command line: "
        "edit GRUB_CMDLINE_LINUX in /etc/default/grub, run update-grub, reboot",
    ),
    "the same, cpu by its compound mount": (
        "cpu",
        host(LEGACY, mounts=HYBRID_MOUNTS, top=NONE),
        "mounted as cgroup v1 at /sys/fs/cgroup/cpu,cpuacct",
        "add systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all",
    ),
    "the same, io by its old name": (
        "io",
        host(LEGACY, mounts=HYBRID_MOUNTS, top=NONE),
        "mounted as cgroup v1 at /sys/fs/cgroup/blkio",
        "cgroup_no_v1=all",
    ),
    "the old layout by somebody's choice": (
        "pids",
        host(LEGACY, mounts=HYBRID_MOUNTS, top=NONE, cmdline="ro systemd.unified_cgroup_hierarchy=0"),
        "mounted as cgroup v1 at /sys/fs/cgroup/pids",
        "and remove systemd.unified_cgroup_hierarchy=0 from the kernel command line",
    ),
    "v1 in another mount namespace": (
        "pids",
        host(LEGACY, top=NONE),
        "held by cgroup v1 (hierarchy 4 of /proc/cgroups)",
        "cgroup_no_v1=all",
    ),
    "Raspberry Pi OS": (
        "memory",
        host(PI, top=ALL - {"memory"}, machine=PI_MACHINE, cmdline=PI_CMDLINE),
        "disabled by cgroup_disable=memory on the kernel command line",
        "add cgroup_enable=memory to the kernel command line: "
        "edit the one line of /boot/firmware/cmdline.txt (no line break), then reboot",
    ),
    "somebody saved memory": (
        "memory",
        host(PI, top=ALL - {"memory"}, cmdline="ro cgroup_disable=memory,pressure"),
        "disabled by cgroup_disable=memory,pressure on the kernel command line",
        "add cgroup_disable=pressure to the kernel command line and remove cgroup_disable=memory,pressure from",
    ),
    "off unless asked for": (
        "memory",
        host(PI, top=ALL - {"memory"}),
        "disabled by default in this kernel",
        "add cgroup_enable=memory to the kernel command line",
    ),
    "a kernel of 6.15 that lists nothing of v1": (
        "memory",
        host("", top=ALL - {"memory"}, cmdline="cgroup_disable=memory"),
        "disabled by cgroup_disable=memory on the kernel command line",
        "remove cgroup_disable=memory",
    ),
    "a kernel for small devices": (
        "pids",
        host(MODERN.replace("pids", "misc"), top=ALL - {"pids"}),
        "not in this kernel",
        "use a kernel with CONFIG_CGROUP_PIDS=y",
    ),
    "WSL2 with both hierarchies": (
        "memory",
        host(LEGACY, mounts=HYBRID_MOUNTS, top=NONE, machine=Boot(wsl=True)),
        "mounted as cgroup v1 at /sys/fs/cgroup/memory",
        r"in %UserProfile%\.wslconfig on Windows, section [wsl2], "
        "kernelCommandLine = systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all; then wsl --shutdown",
    ),
    "an LXC container whose host keeps memory": (
        "memory",
        container("lxc", "/sys/fs/cgroup", ALL - {"memory"}),
        "not delegated to this lxc: /sys/fs/cgroup/cgroup.controllers lacks it",
        "Delegate=yes",
    ),
    "Docker: processes in the root it sees": (
        "memory",
        container("docker", "/sys/fs/cgroup", ALL, occupied=True),
        "in /sys/fs/cgroup, whose own processes keep it from being handed down",
        "mkdir $G/init",
    ),
    "a service that delegates nothing": (
        "memory",
        host(
            way=(
                Level("/sys/fs/cgroup", ALL, ALL, real_root=True),
                Level("/sys/fs/cgroup/system.slice", ALL, ALL),
                Level("/sys/fs/cgroup/system.slice/my.service", ALL, frozenset(("cpu",)), occupied=True),
            )
        ),
        "in /sys/fs/cgroup/system.slice/my.service, whose own processes keep it from being handed down",
        "G=/sys/fs/cgroup/system.slice/my.service",
    ),
    "a slice that systemd gives no io": (
        "io",
        host(
            way=(
                Level("/sys/fs/cgroup", ALL, ALL, real_root=True),
                Level("/sys/fs/cgroup/minipod.slice", ALL, ALL - {"io"}),
                Level("/sys/fs/cgroup/minipod.slice/minipod-pods.service", ALL - {"io"}, NONE),
            )
        ),
        "not delegated: /sys/fs/cgroup/minipod.slice/cgroup.subtree_control lacks it",
        "systemctl edit minipod-pods.service, with Delegate=yes in its [Service] section",
    ),
    "no cgroup2 at all": (
        "memory",
        Cgroups(subsystems=subsystems(LEGACY)),
        "cgroup2 is not mounted",
        "mount",
    ),
}


@pytest.mark.parametrize("name", EXPLAINED)
def test_why_a_controller_is_missing_and_what_mends_it(name: str) -> None:
    controller, cgroups, why, fix = EXPLAINED[name]
    answer = explain(controller, cgroups)
    assert why in answer.why
    assert fix in answer.fix
    assert bool(answer.fix) == bool(fix)


@pytest.mark.parametrize(
    ("machine", "way"),
    [
        (DEBIAN_GRUB, "edit GRUB_CMDLINE_LINUX in /etc/default/grub, run update-grub, reboot"),
        (
            Boot(files=frozenset((boot.GRUB_FILE,)), programs=frozenset(("grub2-mkconfig",))),
            "edit GRUB_CMDLINE_LINUX in /etc/default/grub, run grub2-mkconfig -o /boot/grub2/grub.cfg, reboot",
        ),
        (
            Boot(files=frozenset((boot.GRUB_FILE,)), programs=frozenset(("grub-mkconfig",))),
            "edit GRUB_CMDLINE_LINUX in /etc/default/grub, run grub-mkconfig -o /boot/grub/grub.cfg, reboot",
        ),
        (
            Boot(programs=frozenset(("grubby", "grub2-mkconfig")), files=frozenset((boot.GRUB_FILE,))),
            'grubby --update-kernel=ALL --args="psi=1", then reboot',
        ),
        (
            Boot(programs=frozenset(("rpm-ostree", "grubby"))),
            "rpm-ostree kargs --append-if-missing=psi=1, then reboot",
        ),
        (
            Boot(files=frozenset((boot.KERNEL_INSTALL_FILE,))),
            "edit the line of /etc/kernel/cmdline (systemd-boot), run kernel-install add-all, reboot",
        ),
        (
            Boot(files=frozenset((boot.ARMBIAN_FILE,))),
            "edit extraargs= in /boot/armbianEnv.txt, then reboot",
        ),
        (
            Boot(files=frozenset((boot.ALPINE_FILE, boot.EXTLINUX_FILE))),
            "edit default_kernel_opts in /etc/update-extlinux.conf, run update-extlinux, reboot",
        ),
        (
            Boot(files=frozenset(("/boot/cmdline.txt",)), model="Raspberry Pi 3 Model B Plus Rev 1.3"),
            "edit the one line of /boot/cmdline.txt (no line break), then reboot",
        ),
        (
            Boot(container="lxc", files=frozenset((boot.GRUB_FILE,))),
            "on the host of this lxc container, whose kernel this is",
        ),
        (Boot(), "no boot loader's file is here"),
    ],
)
def test_how_the_command_line_is_set_here(machine: Boot, way: str) -> None:
    assert change(machine, add=("psi=1",)).startswith(f"add psi=1 to the kernel command line: {way}")


def test_a_change_leaves_out_what_is_so_already() -> None:
    machine = dataclasses.replace(DEBIAN_GRUB, cmdline=("cgroup_no_v1=all",))
    assert change(machine, add=("cgroup_no_v1=all", "psi=1"), remove=("quiet",)).startswith("add psi=1 to")
    assert change(machine, add=("cgroup_no_v1=all",)) == "the kernel command line is right already: reboot"


def facts(**changes: object) -> Facts:
    made: dict[str, object] = {
        "kernel": "6.1.0",
        "python": (3, 11),
        "uid": 0,
        "capabilities": NONE,
        "cgroup_mount": "/sys/fs/cgroup",
        "cgroups": host(),
        "pressure": True,
        "init": "systemd",
        "systemd_version": 252,
    }
    return Facts(**{**made, **changes})  # type: ignore[arg-type]


def test_pressure() -> None:
    assert pressure(facts()).good
    compiled_in = pressure(facts(pressure=False, kernel_options={"CONFIG_PSI": "y"}))
    assert "off by default" in compiled_in.detail
    assert compiled_in.fix.startswith("add psi=1 to")
    assert "CONFIG_PSI=y" in pressure(facts(pressure=False, kernel_options={"CONFIG_PSI": "n"})).fix
    switched_off = pressure(facts(pressure=False, cgroups=host(cmdline="psi=0")))
    assert switched_off.fix.startswith("add psi=1 to the kernel command line and remove psi=0 from")
    groups_only = pressure(facts(cgroups=host(cmdline="cgroup_disable=pressure")))
    assert groups_only.fix.startswith("remove cgroup_disable=pressure from")


def test_swap() -> None:
    assert swap(facts()) == Result(True, "none")
    assert swap(facts(swap=2 << 30)).good
    uncounted = swap(facts(swap=2 << 30, swap_counted=False, cgroups=host(cmdline="swapaccount=0")))
    assert not uncounted.good
    assert "add swapaccount=1 to the kernel command line and remove swapaccount=0 from" in uncounted.fix


def test_limits_of_the_kernel() -> None:
    check = at_least({"fs.inotify.max_user_instances": 512, "fs.inotify.max_user_watches": 65536})
    low = check(
        facts(sysctls={"fs.inotify.max_user_instances": 128, "fs.inotify.max_user_watches": 1 << 20})
    )
    assert (low.good, low.detail) == (False, "fs.inotify.max_user_instances is 128")
    assert low.fix.startswith("sysctl -w fs.inotify.max_user_instances=512;")
    assert check(facts(sysctls={})).good


def test_systemd_and_what_it_delegates() -> None:
    assert systemd(facts()).good
    assert not systemd(facts(systemd_version=239)).good
    assert not systemd(facts(init="runit")).good
    assert delegation(facts(cgroup_parent="minipod.slice/minipod-pods.service/pods")).good
    assert not delegation(facts(cgroup_parent="minipod")).good
    assert delegation(facts(cgroup_parent="minipod", init="runit")).good
    assert not logind(facts()).good
    assert "raises it to" in logind(facts(shutdown_delay=5.0, shutdown_grace=30.0)).detail


def test_a_read_only_hierarchy_is_no_hierarchy() -> None:
    assert cgroup(facts()).good
    read_only = cgroup(facts(cgroups=dataclasses.replace(host(), writable=False)))
    assert not read_only.good
    assert "--privileged" in read_only.fix


def test_reading_what_the_system_says() -> None:
    assert cgroup_mount(HYBRID_MOUNTS) == ("/sys/fs/cgroup/unified", True)
    docker = "700 699 0:28 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw,nsdelegate"
    assert cgroup_mount(docker) == ("/sys/fs/cgroup", False)
    assert cgroup_mount("") == ("", False)
    assert v1_mounts(HYBRID_MOUNTS)["cpuacct"] == "/sys/fs/cgroup/cpu,cpuacct"
    assert not subsystems(PI)["memory"].enabled
    assert systemd_version("systemd 252 (252.38-1~deb12u1)\n+PAM") == 252
    assert systemd_version("systemd 257~rc1-2") == 257
    assert systemd_version("") == 0
    assert shutdown_delay("t 5000000\n") == 5.0
    assert shutdown_delay("") is None
    assert kernel_options("CONFIG_PSI=y\n# CONFIG_MEMCG is not set\n") == {
        "CONFIG_PSI": "y",
        "CONFIG_MEMCG": "n",
    }


def test_in_what_kind_of_container_this_is() -> None:
    assert container_kind("lxc\n", "", docker=False, podman=False, host_pids=False) == "lxc"
    assert container_kind("", "container=lxc\0PATH=/", docker=False, podman=False, host_pids=False) == "lxc"
    assert container_kind("", "", docker=True, podman=False, host_pids=False) == "docker"
    assert container_kind("", "", docker=True, podman=False, host_pids=True) == ""
    assert container_kind("wsl", "", docker=False, podman=False, host_pids=True) == ""
