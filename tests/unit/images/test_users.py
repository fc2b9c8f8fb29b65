"""Who a container runs as, looked up in layers that may be hostile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from minipod.images.users import User, UserLookupError, resolve_user

PASSWD = """\
# comment
root:x:0:0:root:/root:/bin/sh
daemon:*:1:1::/:
app:x:1000:1001:App:/srv/app:/bin/sh
1234:x:55:55::/numeric:
broken line
bad:x:notanumber:0::/:
worse:x:-1:0::/:
nohome:x:7:7:::
twin:x:1000:9::/twin:
"""
GROUP = """\
root:x:0:
app:x:1001:
video:x:44:app,daemon
77:x:0:
audio:x:29:daemon,app,other
wheel:x:10:root
junk
"""


def image(path: Path, passwd: str | None = PASSWD, group: str | None = GROUP) -> Path:
    (path / "etc").mkdir(parents=True)
    if passwd is not None:
        (path / "etc/passwd").write_text(passwd)
    if group is not None:
        (path / "etc/group").write_text(group)
    return path


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("", User(uid=0, gid=0, groups=(10,), home="/root", name="root")),
        ("root", User(uid=0, gid=0, groups=(10,), home="/root", name="root")),
        ("0", User(uid=0, gid=0, groups=(10,), home="/root", name="root")),
        ("app", User(uid=1000, gid=1001, groups=(44, 29), home="/srv/app", name="app")),
        ("1000", User(uid=1000, gid=1001, groups=(44, 29), home="/srv/app", name="app")),
        ("app:", User(uid=1000, gid=1001, groups=(44, 29), home="/srv/app", name="app")),
        ("app:video", User(uid=1000, gid=44, home="/srv/app", name="app")),
        ("app:44", User(uid=1000, gid=44, home="/srv/app", name="app")),
        ("app:4321", User(uid=1000, gid=4321, home="/srv/app", name="app")),
        ("1000:audio", User(uid=1000, gid=29, home="/srv/app", name="app")),
        (":44", User(uid=0, gid=44, home="/root", name="root")),
        ("4321", User(uid=4321, gid=0)),
        ("4321:4322", User(uid=4321, gid=4322)),
        ("1234", User(uid=1234, gid=0)),
        ("1234:77", User(uid=1234, gid=77)),
        ("nohome", User(uid=7, gid=7, home="/", name="nohome")),
        ("2147483647", User(uid=2147483647, gid=0)),
    ],
)
def test_users(tmp_path: Path, text: str, user: User) -> None:
    assert resolve_user([image(tmp_path / "l")], text) == user


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nobody", "unable to find user nobody: no matching entries in passwd file"),
        ("bad", "unable to find user bad: no matching entries in passwd file"),
        ("worse", "unable to find user worse"),
        ("app:nogroup", "unable to find group nogroup: no matching entries in group file"),
        ("2147483648", "uids and gids must be in range 0-2147483647"),
        ("-1", "uids and gids must be in range 0-2147483647"),
        ("app:99999999999", "uids and gids must be in range"),
    ],
)
def test_who_is_not_there(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(UserLookupError) as caught:
        resolve_user([image(tmp_path / "l")], text)
    assert reason in str(caught.value)


@pytest.mark.parametrize("zeros", [20, 5000])
def test_a_number_of_any_length_is_not_a_name(tmp_path: Path, zeros: int) -> None:
    number = "0" * zeros + "1000"
    layer = image(tmp_path / "l", f"{number}:x:0:0::/root:/bin/sh\n", f"{number}:x:0:\n")
    for text in (number, f"1000:{number}"):
        with pytest.raises(UserLookupError, match="uids and gids must be in range"):
            resolve_user([layer], text)


def test_an_image_without_passwd_has_numbers_only(tmp_path: Path) -> None:
    (tmp_path / "l").mkdir()
    assert resolve_user([tmp_path / "l"], "") == User()
    assert resolve_user([tmp_path / "l"], "7:8") == User(uid=7, gid=8)
    with pytest.raises(UserLookupError, match="unable to find user app"):
        resolve_user([tmp_path / "l"], "app")


def test_the_uppermost_layer_counts(tmp_path: Path) -> None:
    base = image(tmp_path / "base")
    top = image(tmp_path / "top", "app:x:7:7::/new:\n", None)
    assert resolve_user([top, base], "app") == User(uid=7, gid=7, groups=(44, 29), home="/new", name="app")


def test_links_are_followed_inside_the_image(tmp_path: Path) -> None:
    top, base = tmp_path / "top", tmp_path / "base"
    (top / "etc").mkdir(parents=True)
    (top / "etc/passwd").symlink_to("/usr/share/users/passwd")
    (base / "usr/share/real").mkdir(parents=True)
    (base / "usr/share/users").symlink_to("../../../../../../usr/share/real")
    (base / "usr/share/real/passwd").write_text("app:x:5:6::/in:\n")
    assert resolve_user([top, base], "app") == User(uid=5, gid=6, home="/in", name="app")


def test_links_never_lead_to_the_host(tmp_path: Path) -> None:
    secret = tmp_path / "host/passwd"
    secret.parent.mkdir()
    secret.write_text("app:x:666:666::/:\n")
    layer = image(tmp_path / "layer", None)
    for target in (str(secret), "../../host/passwd", "../../../../../../" + str(secret)):
        (layer / "etc/passwd").symlink_to(target)
        with pytest.raises(UserLookupError, match="unable to find user app"):
            resolve_user([layer], "app")
        (layer / "etc/passwd").unlink()


def test_a_directory_above_that_is_a_link_to_the_host(tmp_path: Path) -> None:
    (tmp_path / "layer").mkdir()
    image(tmp_path / "host", "app:x:666:666::/:\n")
    (tmp_path / "layer/etc").symlink_to(tmp_path / "host/etc")
    with pytest.raises(UserLookupError, match="unable to find user app"):
        resolve_user([tmp_path / "layer"], "app")


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    layer = image(tmp_path / "layer", None)
    os.mkfifo(layer / "etc/passwd")
    assert resolve_user([layer], "7").uid == 7
    (layer / "etc/passwd").unlink()
    (layer / "etc/passwd").mkdir()
    assert resolve_user([layer], "7").uid == 7


def test_loops_and_floods_are_errors(tmp_path: Path) -> None:
    layer = image(tmp_path / "layer", None)
    (layer / "etc/passwd").symlink_to("passwd")
    with pytest.raises(UserLookupError, match="cannot read etc/passwd of the image: Too many levels"):
        resolve_user([layer], "app")
    (layer / "etc/passwd").unlink()
    with (layer / "etc/passwd").open("wb") as file:
        file.truncate(1024 * 1024 + 1)
    with pytest.raises(UserLookupError, match="more than 1048576 bytes"):
        resolve_user([layer], "app")


def test_names_may_be_any_bytes(tmp_path: Path) -> None:
    layer = image(tmp_path / "layer", None)
    (layer / "etc/passwd").write_bytes(b"caf\xff:x:3:3::/\xfe:\napp:x:5:5::/:\n")
    assert resolve_user([layer], "app").uid == 5


def test_only_a_newline_ends_a_line(tmp_path: Path) -> None:
    layer = image(tmp_path / "layer", "app\x0b:x:5:5::/:\rroot2:x:0:0::/:\n", "")
    with pytest.raises(UserLookupError):
        resolve_user([layer], "root2")
