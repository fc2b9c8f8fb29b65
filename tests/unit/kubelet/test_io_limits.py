"""Annotations on disk traffic as the io controller's files, and the errors of those that cannot be used."""

from __future__ import annotations

import pytest

from minipod.kubelet.containers.cgroups import missing_controllers
from minipod.kubelet.containers.io_limits import IO_MAX, IO_WEIGHT, IoLimitError, block_device, io_files
from tests.unit.kubelet.pods import host, pod

DISKS = {"/dev/vda": "254:0", "/dev/sdb": "8:16"}


def files(text: str, annotation: str = IO_MAX) -> str:
    return next(iter(io_files({annotation: text}, DISKS.__getitem__).values()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/dev/vda rbps=20Mi wbps=10M", "254:0 rbps=20971520 wbps=10000000"),
        ("8:16 riops=120 wiops=max", "8:16 riops=120 wiops=max"),
        ("/dev/vda rbps=1; /dev/sdb\twbps=1Ki\n", "254:0 rbps=1\n8:16 wbps=1024"),
    ],
)
def test_limits_of_disks(text: str, expected: str) -> None:
    assert files(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("50", "default 50"), ("default 50; /dev/vda 9", "default 50\n254:0 9")]
)
def test_weights(text: str, expected: str) -> None:
    assert files(text, IO_WEIGHT) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (" ; ", "expected 1 to 32 devices"),
        ("/dev/vda", "nothing is limited"),
        ("/dev/vda rbps", '"rbps": expected each of'),
        ("/dev/vda latency=1", "rbps, wbps, riops, wiops"),
        ("/dev/vda rbps=1 rbps=2", "once"),
        ("/dev/vda rbps=0", "at least 1"),
        ("/dev/vda rbps=-5", "at least 1"),
        ("/dev/vda rbps=fast", "expected a quantity"),
        ("/dev/vda rbps=500m", "at least 1"),
        ("vda rbps=1", "expected a disk such as /dev/vda"),
        ("../8:0 rbps=1", "expected a disk"),
        ("8:0:1 rbps=1", "expected a disk"),
        ("/dev/../mnt/slow/disk rbps=1", "expected a disk"),
        (f"/dev/vda rbps=1{'0' * 5000}", "expected a quantity"),
    ],
)
def test_what_is_wrong_with_a_limit_is_named(text: str, problem: str) -> None:
    with pytest.raises(IoLimitError, match=problem) as caught:
        files(text)
    assert str(caught.value).startswith(f"{IO_MAX}: ")


@pytest.mark.parametrize(
    "text", ["", "0", "10001", "/dev/vda", "1 2", "/dev/vda 1 2", "-1", "9" * 5000, "\u0665"]
)
def test_a_weight_that_cannot_be(text: str) -> None:
    if text:
        with pytest.raises(IoLimitError, match=f"^{IO_WEIGHT}: .*(1 to 10000|expected a disk)"):
            files(text, IO_WEIGHT)
    else:
        assert io_files({IO_WEIGHT: text}) == {}


def test_what_is_no_disk_is_named() -> None:
    with pytest.raises(IoLimitError, match="/dev/null is not a block device"):
        block_device("/dev/null")
    with pytest.raises(IoLimitError, match=f"{IO_MAX}: /dev/no-such-disk: No such file"):
        io_files({IO_MAX: "/dev/no-such-disk rbps=1"})
    with pytest.raises(IoLimitError, match="null byte"):
        io_files({IO_MAX: "/dev/\0 rbps=1"})


def test_a_host_without_the_io_controller_is_told_by_the_annotation() -> None:
    asking = pod(metadata={"annotations": {IO_MAX: "8:0 rbps=1"}})
    (missing,) = missing_controllers(asking, host())
    assert str(missing).startswith(f"metadata.annotations[{IO_MAX}] needs the cgroup v2 controller io")
