"""Putting the service on a machine and taking it off again. Every step may be done twice."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from minipod.config import DEFAULT_FILE, Config
from minipod.linux.cgroup2 import cgroup
from minipod.linux.replace_file import replace_file
from minipod.systemd import settings, units
from minipod.systemd.systemctl import SystemdError, is_active, recent_log, systemctl

LOGIND_DROP_IN = Path("/run/systemd/logind.conf.d/99-minipod.conf")
"""Made by the daemon: see kubelet/shutdown/logind.py."""


def program() -> Sequence[str]:
    """How this very minipod is started: the script of its virtual environment, else its interpreter."""
    script = Path(sys.executable).with_name("minipod")
    return [str(script)] if os.access(script, os.X_OK) else [sys.executable, "-m", "minipod"]


def write_settings(asked: Mapping[str, str], *, file: Path = DEFAULT_FILE) -> bool:
    """Whether the configuration had to be written. Raises SystemdError when it says otherwise already."""
    before = file.read_text() if file.exists() else None
    try:
        after = settings.with_settings(before, asked)
    except settings.SettingsError as error:
        raise SystemdError(f"{file}: {error}") from error
    return _write(file, after)


def refuse_others(*, directory: Path = units.DIRECTORY) -> None:
    """Raises SystemdError for a unit of our names that somebody else has written."""
    for path in (directory / name for name in units.UNITS):
        if path.exists() and not _is_ours(path):
            raise SystemdError(f"{path} was not written by minipod: move it away, or change it yourself")


def write_units(config: Config, *, directory: Path = units.DIRECTORY) -> list[str]:
    """The names of the units that had to be written. Raises SystemdError for one that is not ours."""
    refuse_others(directory=directory)
    texts = units.unit_files(program(), socket=config.socket, cgroup_root=cgroup.mount_point())
    return [name for name, text in texts.items() if _write(directory / name, text)]


def bring_up(written: Sequence[str], *, configured: bool) -> None:
    """Enable and start; a daemon that runs already is started anew where something has changed. Raises SystemdError."""
    if written:
        systemctl("daemon-reload")
    systemctl("enable", "--quiet", units.SOCKET, units.SERVICE)
    try:
        if (written or configured) and is_active(units.SERVICE):
            # In one go: a socket cannot be taken from a service that runs. It is a restart, so pods go on.
            systemctl("restart", units.SOCKET, units.SERVICE)
        else:
            systemctl("start", units.SOCKET, units.SERVICE)
    except SystemdError as error:
        raise SystemdError(
            f"{error}\nThe last lines of its log:\n{recent_log(units.SERVICE)}".rstrip()
        ) from error


def installed(*, directory: Path = units.DIRECTORY) -> list[Path]:
    """The unit files that are there, those of somebody else left out."""
    paths = (directory / name for name in units.UNITS)
    return [path for path in paths if path.exists() and _is_ours(path)]


def serves(socket: Path, *, directory: Path = units.DIRECTORY) -> bool:
    """Whether the installed service is the one with this API socket."""
    line = f"ListenStream={units.path(socket)}"
    return any(line in path.read_text().splitlines() for path in installed(directory=directory))


def take_down() -> None:
    """Stop daemon and pods, these with their hooks and grace periods, and disable. Raises SystemdError."""
    systemctl("stop", units.SOCKET, units.SERVICE, units.PODS)
    systemctl("disable", "--quiet", units.SOCKET, units.SERVICE)


def remove_units(*, directory: Path = units.DIRECTORY) -> list[Path]:
    """Remove our unit files, and what systemd remembers of them. Returns those that were there."""
    found = installed(directory=directory)
    for path in found:
        path.unlink()
    systemctl("daemon-reload")
    systemctl("reset-failed", *units.UNITS, check=False)
    if not _children(cgroup.mount_point() / units.SLICE):
        systemctl("stop", units.SLICE, check=False)  # what an administrator has put there would end with it
    if LOGIND_DROP_IN.exists():
        LOGIND_DROP_IN.unlink()
        with suppress(OSError):
            LOGIND_DROP_IN.parent.rmdir()
        systemctl("kill", "--signal=HUP", "--kill-who=main", "systemd-logind.service", check=False)
    return found


def remove_settings(*, file: Path = DEFAULT_FILE) -> list[Path]:
    """Remove the configuration that install wrote, and directories that hold nothing. Returns what was removed."""
    removed = []
    if file.exists() and settings.ours(file.read_text()):
        file.unlink()
        removed.append(file)
    for path in (file.parent / "manifests", file.parent):
        with suppress(OSError):
            path.rmdir()
            removed.append(path)
    return removed


def _is_ours(path: Path) -> bool:
    return path.read_bytes().startswith(units.MARK.encode())


def _children(group: Path) -> list[Path]:
    try:
        return [path for path in group.iterdir() if path.is_dir()]
    except FileNotFoundError:
        return []


def _write(path: Path, text: str) -> bool:
    """Whole or not at all; whether it differed."""
    if path.exists() and path.read_text() == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text.encode(), mode=0o644)
    return True
