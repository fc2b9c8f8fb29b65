"""systemctl(1): the verbs that installing and removing a service take."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

BOOTED = Path("/run/systemd/system")
"""There when systemd is the init system (sd_booted(3))."""


class SystemdError(Exception):
    """systemd is not there, or has refused something. The message says what, and what it said."""


def check_booted(*, booted: Path = BOOTED) -> None:
    """Raises SystemdError where systemd is not PID 1, with the way to live without."""
    if booted.is_dir():
        return
    try:
        init = Path("/proc/1/comm").read_text().strip()
    except OSError:
        init = "unknown"
    raise SystemdError(
        f"systemd is not the init system here (PID 1 is {init}), so there is nothing to install into: "
        "run `minipod daemon` from whatever starts this machine's services"
    )


def systemctl(*arguments: str, check: bool = True) -> str:
    """What it printed. Raises SystemdError when it fails and `check` is set."""
    done = subprocess.run(
        ["systemctl", "--no-pager", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_COLORS": "0", "LC_ALL": "C"},
    )
    if check and done.returncode:
        raise SystemdError(f"systemctl {' '.join(arguments)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def is_active(unit: str) -> bool:
    return systemctl("is-active", unit, check=False).strip() in ("active", "activating", "reloading")


def recent_log(unit: str, lines: int = 20) -> str:
    """The last lines of a unit's journal; empty when there is none."""
    done = subprocess.run(
        ["journalctl", "--no-pager", "-o", "cat", "-n", str(lines), "-u", unit],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout
