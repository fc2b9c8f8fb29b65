"""Users and groups as the image knows them: its etc/passwd and etc/group, read across the layers without mounting.

The image is hostile: links are followed inside the image only, and files are read up to a size. The rules, and the
words of the errors, are those of runc's libcontainer/user, which containerd and Docker share.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from minipod.images.errors import UserLookupError
from minipod.images.stack import LayerStack

__all__ = ["User", "UserLookupError", "resolve_user"]

FILE_MAX = 1024 * 1024
"""Bytes of a passwd or group file."""
ID_MAX = 2**31 - 1

_PASSWD = (b"etc", b"passwd")
_GROUP = (b"etc", b"group")
_NUMBER = re.compile(r"[+-]?[0-9]+")
_NUMBER_LENGTH = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who a process is. `groups` are the additional ones; `name` is empty for a number the image does not know."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"
    name: str = ""


@dataclass(frozen=True, slots=True)
class _Passwd:
    name: str
    uid: int
    gid: int
    home: str


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    gid: int
    members: tuple[str, ...]


def resolve_user(layers: Sequence[Path], user: str) -> User:
    """Look up "", "user", "uid", "user:group", "uid:gid" or a mixture in the image's layers (uppermost first).

    "" is root. A number is never a name, as in runc: an image could otherwise call its root "1000". It needs no
    entry in etc/passwd: it then has gid 0 and home "/". Additional groups come from etc/group, unless a group is
    given. Raises UserLookupError with runc's text.
    """
    image = LayerStack(layers)
    user_text, _, group_text = user.partition(":")
    found = _find_user(image, user_text or "0")
    if not group_text:
        groups = tuple(g.gid for g in _groups(image) if found.name and found.name in g.members)
        return User(uid=found.uid, gid=found.gid, groups=groups, home=found.home, name=found.name)
    gid = _find_group(image, group_text)
    return User(uid=found.uid, gid=gid, home=found.home, name=found.name)


def _find_user(image: LayerStack, text: str) -> _Passwd:
    number = _number(text)
    for entry in _users(image):
        if entry.name == text if number is None else entry.uid == number:
            return entry
    if number is None:
        raise UserLookupError(f"unable to find user {text}: no matching entries in passwd file")
    return _Passwd("", number, 0, "/")


def _find_group(image: LayerStack, text: str) -> int:
    number = _number(text)
    for entry in _groups(image):
        if entry.name == text if number is None else entry.gid == number:
            return entry.gid
    if number is None:
        raise UserLookupError(f"unable to find group {text}: no matching entries in group file")
    return number


def _number(text: str) -> int | None:
    """The ID that a text is; None for a name. Raises UserLookupError for a number that no process can have."""
    if not _NUMBER.fullmatch(text):
        return None
    if len(text) > _NUMBER_LENGTH or not 0 <= int(text) <= ID_MAX:
        raise UserLookupError(f"uids and gids must be in range 0-{ID_MAX}, not {text[:_NUMBER_LENGTH]}")
    return int(text)


def _users(image: LayerStack) -> Iterator[_Passwd]:
    for fields in _lines(image, _PASSWD):
        if len(fields) >= 4 and (uid := _id(fields[2])) is not None and (gid := _id(fields[3])) is not None:
            yield _Passwd(fields[0], uid, gid, (fields[5] if len(fields) > 5 else "") or "/")


def _groups(image: LayerStack) -> Iterator[_Group]:
    for fields in _lines(image, _GROUP):
        if len(fields) >= 3 and (gid := _id(fields[2])) is not None:
            members = tuple(m for m in (fields[3] if len(fields) > 3 else "").split(",") if m)
            yield _Group(fields[0], gid, members)


def _id(text: str) -> int | None:
    """Lines whose numbers are none are passed over: reading them as 0 would make their users root."""
    value = int(text) if re.fullmatch(r"[0-9]{1,10}", text) else -1
    return value if 0 <= value <= ID_MAX else None


def _lines(image: LayerStack, path: tuple[bytes, ...]) -> Iterator[list[str]]:
    for line in _read(image, path).split("\n"):
        if line and not line.startswith("#"):
            yield line.split(":")


def _read(image: LayerStack, path: tuple[bytes, ...]) -> str:
    name = b"/".join(path).decode()
    try:
        data = image.read_file(path, FILE_MAX)
    except OSError as error:
        if error.errno in (errno.EFBIG, errno.ELOOP):
            raise UserLookupError(f"cannot read {name} of the image: {error.strerror}") from error
        raise
    return (data or b"").decode(errors="surrogateescape")
