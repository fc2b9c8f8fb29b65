"""Users and groups as the image knows them: its etc/passwd and etc/group, read across the layers without mounting.

The image is hostile: links are followed inside the image only, and files are read up to a size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from minipod.images.errors import UserLookupError

__all__ = ["User", "UserLookupError", "resolve_user"]


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who a process is. `groups` are the additional ones; `name` is empty for a number the image does not know."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"
    name: str = ""


def resolve_user(layers: Sequence[Path], user: str) -> User:
    """Look up "", "user", "uid", "user:group", "uid:gid" or a mixture in the image's layers (uppermost first).

    "" is root. A number needs no entry in etc/passwd: it then has gid 0 and home "/". Additional groups come from
    etc/group, unless a group is given. Raises UserLookupError with runc's text.
    """
    raise NotImplementedError
