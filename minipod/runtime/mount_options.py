"""The options of an OCI mount, split into what concerns the mount, its propagation and the filesystem. Pure.

The words are mount(8)'s and the runtime-spec's (config.md, "Linux mount options"). Attributes are changed one by one
(mount_setattr): what an option does not name stays as the source has it, so a bind of a nosuid mount stays nosuid.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from minipod.linux.mount import (
    MOUNT_ATTR_ATIME,
    MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NODIRATIME,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_NOSYMFOLLOW,
    MOUNT_ATTR_RDONLY,
    MOUNT_ATTR_RELATIME,
    MOUNT_ATTR_STRICTATIME,
    MS_PRIVATE,
    MS_SHARED,
    MS_SLAVE,
    MS_UNBINDABLE,
)

PROPAGATION = {
    "private": MS_PRIVATE,
    "slave": MS_SLAVE,
    "shared": MS_SHARED,
    "unbindable": MS_UNBINDABLE,
}
"""With a leading r: also for the mounts below."""

_SET = {
    "ro": MOUNT_ATTR_RDONLY,
    "nosuid": MOUNT_ATTR_NOSUID,
    "nodev": MOUNT_ATTR_NODEV,
    "noexec": MOUNT_ATTR_NOEXEC,
    "nodiratime": MOUNT_ATTR_NODIRATIME,
    "nosymfollow": MOUNT_ATTR_NOSYMFOLLOW,
}
_CLEAR = {
    "rw": MOUNT_ATTR_RDONLY,
    "suid": MOUNT_ATTR_NOSUID,
    "dev": MOUNT_ATTR_NODEV,
    "exec": MOUNT_ATTR_NOEXEC,
    "diratime": MOUNT_ATTR_NODIRATIME,
    "symfollow": MOUNT_ATTR_NOSYMFOLLOW,
}
_ATIME = {
    "relatime": MOUNT_ATTR_RELATIME,
    "noatime": MOUNT_ATTR_NOATIME,
    "strictatime": MOUNT_ATTR_STRICTATIME,
    "norelatime": MOUNT_ATTR_STRICTATIME,
    "atime": MOUNT_ATTR_RELATIME,
    "nostrictatime": MOUNT_ATTR_RELATIME,
}
_IGNORED = frozenset(("defaults", "async", "bind", "rbind", "auto", "nofail"))


@dataclass(frozen=True, slots=True)
class MountOptions:
    """Masks are MOUNT_ATTR_*; `propagation` is an MS_* flag or 0; `data` is for the filesystem, as in mount -o."""

    attr_set: int = 0
    attr_clr: int = 0
    recursive_set: int = 0
    """From the spec's recursive words (rro, rnosuid, ...): also for the mounts below."""
    recursive_clr: int = 0
    propagation: int = 0
    propagate_below: bool = False
    bind: bool = False
    recursive_bind: bool = False
    data: str = ""


def parse(options: Iterable[str]) -> MountOptions:
    """Sort the options; of two that contradict each other the later wins."""
    here, below = _Attributes(), _Attributes()
    propagation, propagate_below, data = 0, False, []
    words = list(options)
    for word in words:
        stem = word[1:] if word.startswith("r") else ""
        if here.take(word) or (stem and below.take(stem)) or word in _IGNORED:
            continue
        if word in PROPAGATION:
            propagation, propagate_below = PROPAGATION[word], False
        elif stem in PROPAGATION:
            propagation, propagate_below = PROPAGATION[stem], True
        else:
            data.append(word)
    return MountOptions(
        attr_set=here.set,
        attr_clr=here.clear,
        recursive_set=below.set,
        recursive_clr=below.clear,
        propagation=propagation,
        propagate_below=propagate_below,
        bind="bind" in words or "rbind" in words,
        recursive_bind="rbind" in words,
        data=",".join(data),
    )


class _Attributes:
    def __init__(self) -> None:
        self.set = 0
        self.clear = 0

    def take(self, word: str) -> bool:
        """Note the option if it is an attribute."""
        if (bit := _SET.get(word)) is not None:
            self.set, self.clear = self.set | bit, self.clear & ~bit
        elif (bit := _CLEAR.get(word)) is not None:
            self.set, self.clear = self.set & ~bit, self.clear | bit
        elif (bit := _ATIME.get(word)) is not None:
            self.set, self.clear = self.set & ~MOUNT_ATTR_ATIME | bit, self.clear | MOUNT_ATTR_ATIME
        else:
            return False
        return True
