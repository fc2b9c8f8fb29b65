"""The unit files, as text: templates of this package in which only paths are open. Pure, apart from reading them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

DIRECTORY = Path("/etc/systemd/system")
"""Where a unit of the administrator's lies (systemd.unit(5))."""

SERVICE = "minipod.service"
SOCKET = "minipod.socket"
PODS = "minipod-pods.service"
SLICE = "minipod.slice"
UNITS = (SLICE, PODS, SOCKET, SERVICE)

DELEGATED = f"{SLICE}/{PODS}"
"""The cgroup that systemd leaves to us, whatever becomes of the daemon. Its own files stay systemd's."""

CGROUP_PARENT = f"{DELEGATED}/pods"
"""Below it all pods live."""

MARK = "# Written by minipod install."
"""First line of every file that is ours to replace and to remove."""

_DECISION = "009-systemd.md"


def unit_files(program: Sequence[str], *, socket: Path, cgroup_root: Path) -> Mapping[str, str]:
    """File name -> text. `program` starts minipod, `cgroup_root` is where cgroup2 is mounted.

    Raises ValueError for a path that a unit cannot name.
    """
    daemon = (*program, "daemon", f"--cgroup-parent={CGROUP_PARENT}")
    values = {
        "@DAEMON@": command_line(daemon),
        "@END_PODS@": command_line((*daemon, "--end-pods")),
        "@GROUP@": command_line((str(cgroup_root / DELEGATED),)),
        "@SOCKET@": path(socket),
        "@DECISION@": _DECISION,
    }
    texts = {}
    for name in UNITS:
        text = resources.files(__package__).joinpath(name).read_text()
        for mark, value in values.items():
            text = text.replace(mark, value)
        texts[name] = text
    return texts


def command_line(words: Sequence[str]) -> str:
    """Words as an Exec...= line has them, quoted where needed (systemd.service(5), COMMAND LINES)."""
    return " ".join(_quoted(word) for word in words)


def path(value: Path) -> str:
    """A path as a setting has it: % is doubled. Raises ValueError for a line break."""
    return _without_breaks(str(value)).replace("%", "%%")


def _quoted(word: str) -> str:
    text = _without_breaks(word).replace("%", "%%").replace("$", "$$")
    if text and not any(c in " \t\"';\\" for c in text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _without_breaks(text: str) -> str:
    if "\n" in text or "\r" in text:
        raise ValueError(f"a unit file cannot hold a path with a line break: {text!r}")
    return text
