"""What a container says of its end: where its file is, and what is read of it and of the log."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from minipod.api import core_v1
from minipod.kubelet.containers.container_config import (
    ContainerRequest,
    PodContext,
    container_config,
    container_rootfs,
    log_path,
    pod_context,
)
from minipod.kubelet.containers.process import ProcessUser
from minipod.kubelet.containers.termination_message import (
    make_file,
    read_termination_message,
    share_of_message,
)
from minipod.kubelet.volumes.types import PodVolumes
from tests.unit.kubelet.pods import container, image, one, pod, settings

FILE, FALLBACK = "File", "FallbackToLogsOnError"
STAMP = "2026-11-24T10:00:00.123456789Z"


@pytest.fixture
def context(tmp_path: Path) -> PodContext:
    return pod_context(pod(), settings(data_dir=tmp_path / "data", log_dir=tmp_path / "log"))


def main(path: str | None = "/dev/termination-log", policy: str = FILE) -> core_v1.Container:
    found = one()
    found.terminationMessagePath, found.terminationMessagePolicy = path, policy
    return found


def made(context: PodContext, **fields: Any) -> Path:
    path = make_file(context, main(**fields), 0)
    assert path is not None
    return path


def read(context: PodContext, *, failed: bool = False, **fields: Any) -> str:
    return read_termination_message(context, main(**fields), attempt=0, failed=failed)


def write_log(context: PodContext, *lines: str, name: str = "") -> Path:
    path = log_path(context, main().name, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path = path.with_name(path.name + name)
    path.write_text("".join(f"{STAMP} stdout {line}\n" for line in lines))
    return path


# -- the file ------------------------------------------------------------------------------------------------------


def test_the_file_is_empty_writable_for_any_user_and_lies_beside_the_attempts_layers(
    context: PodContext,
) -> None:
    before = os.umask(0o077)
    try:
        path = made(context)
    finally:
        os.umask(before)
    assert path.parent == container_rootfs(context, main().name, 0, image()).upper.parent
    assert (path.stat().st_mode & 0o777, path.stat().st_size) == (0o666, 0)


def test_another_try_at_the_same_attempt_gets_another_file(context: PodContext) -> None:
    with made(context).open("w") as old:
        old.write("old")
        old.flush()
        assert made(context).stat().st_ino != os.fstat(old.fileno()).st_ino
    assert read(context) == ""


def test_no_path_no_file(context: PodContext) -> None:
    assert make_file(context, main(path=None), 0) is None
    assert make_file(context, main(path=""), 0) is None


def config_mounts(context: PodContext, made_container: core_v1.Container) -> list[dict[str, Any]]:
    request = ContainerRequest(
        container=made_container,
        image=image(Cmd=["sh"]),
        user=ProcessUser(uid=0, gid=0, home="/root"),
        id="c0ffee",
        attempt=0,
        delay=0,
        infra_pid=1,
        pod_ip="",
        termination_log=make_file(context, made_container, 0),
    )
    return list(container_config(pod(), request, context=context, volumes=PodVolumes()).oci["mounts"])


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/dev/termination-log", "/dev/termination-log"),
        ("/var/log/../end", "/var/end"),
        ("end", "/end"),
        ("//x//y/", "/x/y"),
    ],
)
def test_it_is_mounted_writable_where_the_container_wants_it(
    context: PodContext, path: str, place: str
) -> None:
    mounts = config_mounts(context, main(path=path))
    (mine,) = [m for m in mounts if m["destination"] == place]
    assert mine["source"] == str(context.pod_dir / f"containers/{main().name}/0/termination-log")
    assert "rw" in mine["options"]
    dev = next(i for i, m in enumerate(mounts) if m["destination"] == "/dev")
    assert mounts.index(mine) > dev


def test_without_a_file_nothing_is_mounted(context: PodContext) -> None:
    mounts = config_mounts(context, main(path=None))
    assert not any("termination" in m["source"] for m in mounts)


# -- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"Sleep expired\n", "Sleep expired\n"),
        ("größe".encode(), "größe"),
        (b"a\xff\xfeb", "a\ufffd\ufffdb"),
        (b"x" * 5000 + b"end", "x" * 4093 + "end"),
        ("ü".encode() * 2048, "ü" * 2048),
        ("ü".encode() * 4000 + b"!", "ü" * 2047 + "!"),
        (b"\xff" * 4096, "\ufffd" * 1365),
        (b"\x80" * 5000, "\ufffd" * 1365),
    ],
)
def test_the_last_4096_bytes_of_the_file_as_text(context: PodContext, data: bytes, text: str) -> None:
    made(context).write_bytes(data)
    found = read(context)
    assert found == text
    assert len(found.encode()) <= 4096


def test_a_huge_file_is_not_read(context: PodContext) -> None:
    with made(context).open("wb") as file:
        file.truncate(1 << 40)
        file.seek(0, os.SEEK_END)
        file.write(b"end")
    before = time.perf_counter()
    assert read(context).endswith("end")
    assert time.perf_counter() - before < 1


def test_a_missing_file_is_no_message(context: PodContext) -> None:
    assert read(context) == ""
    assert read(context, path=None) == ""


@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory"])
def test_what_is_no_regular_file_is_not_opened_and_said(
    context: PodContext, kind: str, tmp_path: Path
) -> None:
    path = made(context)
    path.unlink()
    (tmp_path / "secret").write_text("secret")
    match kind:
        case "symlink":
            path.symlink_to(tmp_path / "secret")
        case "fifo":
            os.mkfifo(path)
        case _:
            path.mkdir()
    assert read(context, failed=True, policy=FALLBACK).startswith(
        f"Error on reading termination log {path}: "
    )


# -- the log instead --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "failed", "file", "text"),
    [
        (FALLBACK, True, "", "one\ntwo\n"),
        (FALLBACK, True, "said", "said"),
        (FALLBACK, False, "", ""),
        (FILE, True, "", ""),
    ],
)
def test_the_log_stands_in_only_for_an_empty_file_of_a_failure(
    context: PodContext, policy: str, failed: bool, file: str, text: str
) -> None:
    made(context).write_text(file)
    write_log(context, "F one", "F two")
    assert read(context, failed=failed, policy=policy) == text


def test_also_where_there_is_no_file_at_all(context: PodContext) -> None:
    write_log(context, "F one")
    for path in (None, "/dev/termination-log"):
        assert read(context, failed=True, policy=FALLBACK, path=path) == "one\n"


def test_no_log_no_message(context: PodContext) -> None:
    assert read(context, failed=True, policy=FALLBACK) == ""
    write_log(context)
    assert read(context, failed=True, policy=FALLBACK) == ""


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ([f"F {n}" for n in range(200)], "".join(f"{n}\n" for n in range(120, 200))),
        (["P half", "F  whole", "P open"], "half whole\nopen"),
        (
            [f"F {'x' * 100}{n:03}" for n in range(80)],
            ("".join(f"{'x' * 100}{n:03}\n" for n in range(80)))[-2048:],
        ),
        (["P " + "a" * 16384, "P " + "b" * 16384, "F c"], "b" * 2046 + "c\n"),
        (["F one\rtwo", "F three"], "one\rtwo\nthree\n"),
    ],
)
def test_the_last_80_lines_and_2048_bytes_of_the_log(
    context: PodContext, lines: list[str], text: str
) -> None:
    write_log(context, *lines)
    assert read(context, failed=True, policy=FALLBACK) == text


def test_a_rotated_log_is_read_on_in_its_older_file(context: PodContext) -> None:
    write_log(context, *(f"F old {n}" for n in range(100)), name=".20261124-100000")
    write_log(context, "F new")
    found = read(context, failed=True, policy=FALLBACK).splitlines()
    assert found == [*(f"old {n}" for n in range(21, 100)), "new"]


def test_what_is_no_log_line_is_left_out(context: PodContext) -> None:
    path = write_log(context, "F good")
    with path.open("ab") as file:
        file.write(b"garbage\n" + os.urandom(100).replace(b"\n", b"") + b"\n")
    assert read(context, failed=True, policy=FALLBACK) == "good\n"


# -- the status -------------------------------------------------------------------------------------------------------


def test_a_pods_messages_share_12_kib() -> None:
    several = pod(*(container(f"c{n}") for n in range(5)), initContainers=[container("init")])
    assert share_of_message(several, "x" * 4096) == "x" * 2048
    assert share_of_message(several, "ü" * 1025) == "ü" * 1024
    assert share_of_message(several, "xü" * 1024) == ("xü" * 1024).encode()[:2048].decode(errors="ignore")
    assert share_of_message(pod(), "x" * 4096) == "x" * 4096
