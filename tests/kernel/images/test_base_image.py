"""rootfs/build.sh: the same image every time, and one that works."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from minipod.images.store import ImageStore
from minipod.images.types import Image
from minipod.images.users import resolve_user

BUILD = Path(__file__).parents[3] / "rootfs" / "build.sh"


def build(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BUILD, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        umask=0o077 if "TMPDIR" in environment else 0o022,
    )


async def import_rootfs(root: Path, tar: Path) -> Image:
    store = ImageStore(root)
    await store.start()
    try:
        return await store.build_rootfs(tar, "minipod/base")
    finally:
        await store.stop()


def test_the_same_bytes_whoever_makes_it(workdir: Path) -> None:
    one, two = workdir / "one.tar", workdir / "two.tar"
    for tar, environment in ((one, {}), (two, {"TMPDIR": "/dev/shm", "LANG": "de_DE.UTF-8"})):
        done = build(tar, **environment)
        assert done.returncode == 0, done.stderr
    assert one.read_bytes() == two.read_bytes()
    assert {path.name for path in workdir.iterdir()} == {"one.tar", "two.tar"}


def test_the_image_works(workdir: Path) -> None:
    assert build(workdir / "base.tar").returncode == 0
    image = asyncio.run(import_rootfs(workdir / "images", workdir / "base.tar"))
    assert image.names == ("docker.io/minipod/base:latest",)
    assert image.config["Cmd"] == ["/bin/sh"]
    (layer,) = image.layers
    script = "stat -c %a /tmp; id -un; /usr/bin/env httpd --help 2>&1 | grep -c Usage; which wget nc ps"
    done = subprocess.run(
        ["/usr/sbin/chroot", layer, "/bin/sh", "-c", script],
        env={"PATH": "/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["1777", "root", "1", "/bin/wget", "/bin/nc", "/bin/ps"]
    assert resolve_user(image.layers, "www-data").uid == 33


def test_without_a_name_it_goes_to_the_daemon(workdir: Path) -> None:
    command = workdir / "minipod"
    command.write_text('#!/bin/sh\nprintf "%s\\n" "$1 $2 $4" >"$0.calls"\ncp "$3" "$0.tar"\n')
    command.chmod(0o755)
    assert build(MINIPOD=str(command)).returncode == 0
    assert (workdir / "minipod.calls").read_text() == "image build-rootfs minipod/base\n"
    assert build(workdir / "direct.tar").returncode == 0
    assert (workdir / "minipod.tar").read_bytes() == (workdir / "direct.tar").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["--what"], {}, "usage: rootfs/build.sh [OUT.tar]"),
        (["a", "b"], {}, "usage: rootfs/build.sh [OUT.tar]"),
        ([], {"MINIPOD": "/bin/false"}, "minipod/base was made, but the daemon did not take it"),
        (["/tmp/never.tar"], {"BUSYBOX": "/bin/true"}, "does not run in an empty root, it is not static"),
    ],
)
def test_what_goes_wrong_is_said(arguments: list[str], environment: dict[str, str], message: str) -> None:
    done = build(*arguments, **environment)
    assert done.returncode == 1
    assert message in done.stderr
