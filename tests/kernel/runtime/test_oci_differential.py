"""The same OCI bundle under this runtime and under crun and runc: the process must be shown the same world."""

from __future__ import annotations

import difflib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minipod.linux import capabilities
from minipod.linux.cgroup2 import cgroup
from tests.kernel.runtime.launching import MASKED, READ_ONLY, Shim, bind, document, shim

Variant = Callable[[dict[str, Any], Path], None]

PROBE = f"""
section() {{ echo "== $1"; }}
section identity; id -u; id -g; id -G; umask; pwd; hostname
section environment; env | sort
section status
grep -E '^(Cap|NoNewPrivs|Sig(Blk|Ign|Cgt)|Uid|Gid|Groups|Seccomp:)' /proc/self/status
section session; cut -d' ' -f5-7 /proc/$$/stat | sed "s/$$/self/g"
section limits; cat /proc/self/limits
section oom; cat /proc/self/oom_score_adj
section mounts; cat /proc/self/mountinfo
section devices
find /dev -type c -o -type b -o -type p | sort | while read n; do stat -c '%n %F %t:%T %a %u:%g' $n; done
find /dev -type l | sort | while read n; do echo "$n -> $(readlink $n)"; done
find /dev -type d | sort | while read n; do stat -c '%n %a %u:%g' $n; done
section masked
for p in {" ".join(MASKED)}; do
    if [ -d $p ]; then echo $p directory $(ls -A $p | wc -l); ( touch $p/x ) 2>&1 | sed 's/.*: //'
    elif [ -e $p ]; then echo $p file $(head -c100 $p 2>&1 | wc -c); else echo $p absent; fi
done
section read-only
for p in {" ".join(READ_ONLY)}; do
    f=$(find $p -type f 2>/dev/null | head -n1); [ -n "$f" ] && ( echo x > $f ) 2>&1 | sed 's/.*: //'
done
section writes
for d in / /tmp /data /sys /proc /dev /dev/shm; do
    ( touch $d/written ) 2>&1 | sed 's/.*: //'; ls $d/written 2>/dev/null
done
section descriptors; (cd /proc/$$/fd; echo *)
section network; ip -o addr | sed 's/valid_lft.*//'
section sysctl; cat /proc/sys/net/ipv4/ip_unprivileged_port_start
section devpts; ls -l /dev/ptmx | cut -d' ' -f1; stat -f -c %T /dev/pts /dev/mqueue /proc /sys
"""

PURE_CGROUP2 = [
    "unshare",
    "--mount",
    "--propagation=private",
    "sh",
    "-c",
    'mount --bind "$0" /sys/fs/cgroup && exec "$@"',
    str(cgroup.mount_point()),
]
"""Runs a command where /sys/fs/cgroup is cgroup2, whatever the host has there: crun refuses hybrid hosts."""

CORE_LINK = "/dev/core -> /proc/kcore"
"""Where the kernel has no /proc/kcore, crun makes the link and runc does not."""

RUNTIMES: dict[str, list[str]] = {
    "crun": ["crun", "--cgroup-manager=disabled"],
    "runc": ["runc"],
}


@pytest.fixture
def pod(word: str, workdir: Path) -> Iterator[Shim]:
    with shim(word, workdir) as found:
        yield found


def plain(oci: dict[str, Any], workdir: Path) -> None:
    """A pod's container as the kubelet describes it."""
    (workdir / "volume").mkdir()
    (workdir / "hosts").write_text("127.0.0.1 localhost\n")
    oci["mounts"] += [bind(workdir / "volume", "/data", "rw"), bind(workdir / "hosts", "/etc/hosts", "ro")]


def unprivileged(oci: dict[str, Any], workdir: Path) -> None:
    """runAsUser, fsGroup, read-only root, nothing may be gained."""
    plain(oci, workdir)
    oci["root"]["readonly"] = True
    oci["process"] |= {
        "user": {"uid": 1000, "gid": 2000, "additionalGids": [3000, 4000], "umask": 0o027},
        "noNewPrivileges": True,
        "cwd": "/work/here",
        "env": ["PATH=/bin", "A=b", "SPACES=c d", "LAST=1", "LAST=2"],
        "oomScoreAdj": 937,
        "rlimits": [
            {"type": "RLIMIT_NOFILE", "soft": 128, "hard": 256},
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        ],
    }


def privileged(oci: dict[str, Any], workdir: Path) -> None:
    """No masks, /sys writable, every capability there is."""
    plain(oci, workdir)
    everything = capabilities.to_names(capabilities.permitted())
    sets = ("bounding", "effective", "permitted", "inheritable", "ambient")
    oci["process"]["capabilities"] = dict.fromkeys(sets, everything)
    oci["linux"] |= {"maskedPaths": [], "readonlyPaths": []}
    oci["linux"]["resources"]["devices"] = [{"allow": True, "access": "rwm"}]
    for mount in oci["mounts"]:
        if mount["type"] == "sysfs":
            mount["options"].remove("ro")


def tuned(oci: dict[str, Any], workdir: Path) -> None:
    """Sysctls, a device, and mounts with every kind of option."""
    plain(oci, workdir)
    oci["linux"]["sysctl"] = {"net.ipv4.ip_unprivileged_port_start": "80"}
    oci["linux"]["devices"] = [
        {
            "path": "/dev/sub/loop",
            "type": "c",
            "major": 10,
            "minor": 237,
            "fileMode": 0o640,
            "uid": 3,
            "gid": 4,
        }
    ]
    oci["mounts"] += [
        bind(workdir / "volume", "/flags", "ro", "nosuid", "nodev", "noexec", "noatime"),
        {
            "destination": "/tmpfs",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["size=1m", "mode=1770", "noexec"],
        },
    ]


def on_the_host(oci: dict[str, Any], workdir: Path) -> None:
    """hostNetwork, hostPID and hostIPC: only mounts and cgroup are its own."""
    plain(oci, workdir)
    del oci["hostname"]
    oci["linux"]["namespaces"] = [{"type": "mount"}, {"type": "cgroup"}]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("variant", [plain, unprivileged, privileged, tuned, on_the_host])
def test_the_process_is_shown_the_same_world(
    pod: Shim, workdir: Path, variant: Variant, runtime: str
) -> None:
    oci = document("/bin/sh", "-c", PROBE)
    oci["hostname"] = "same"
    variant(oci, workdir)
    theirs = run_other(RUNTIMES[runtime], oci, pod.root, workdir)
    (workdir / "volume" / "written").unlink(missing_ok=True)
    ours = pod.run(oci)
    assert ours["warnings"] == []
    mine, other = (normalise(text) for text in (ours["stdout"] + ours["stderr"], theirs))
    assert mine == other, "\n".join(difflib.unified_diff(other, mine, runtime, "minipod", lineterm="", n=1))


def run_other(command: list[str], oci: dict[str, Any], root: Path, workdir: Path) -> str:
    """What the probe prints under another runtime, in a copy of the same root file system."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    bundle = workdir / "bundle"
    bundle.mkdir()
    shutil.copytree(root, bundle / "rootfs", symlinks=True)
    name = f"{workdir.name}-{command[0]}"
    document = {**oci, "linux": {**oci["linux"], "cgroupsPath": f"/{name}"}}
    (bundle / "config.json").write_text(json.dumps(document))
    done = subprocess.run(
        [*PURE_CGROUP2, *command, "--root", workdir / "state", "run", "--bundle", bundle, name],
        input="",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def normalise(text: str) -> list[str]:
    """The probe's sections as lines, the mounts among them by what they mean."""
    lines: list[str] = []
    mounts: list[str] | None = None
    for line in text.splitlines():
        if line.startswith("== "):
            lines += sorted(mounts or ())
            mounts = [] if line == "== mounts" else None
        if line == CORE_LINK:
            continue
        if mounts is None or line == "== mounts":
            lines.append(line)
        else:
            mounts.append(mount_line(line))
    return lines


def mount_line(line: str) -> str:
    """Target, type and options of a mount: ids, and how a mask is made, are each runtime's own."""
    left, _, right = line.partition(" - ")
    fields, (fstype, _source, superblock) = left.split(), right.split()
    target, options = fields[4], fields[5].split(",")
    if target in MASKED:
        return f"{target} masked"
    if target == "/" or target in READ_ONLY:
        return f"{target} {options[0]}"
    if fstype == "sysfs":
        superblock = "any"
    return f"{target} {fstype} {sorted(options)} {superblock} {fields[6:]}"
