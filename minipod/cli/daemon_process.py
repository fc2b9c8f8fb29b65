"""The daemon seen from outside: which process holds the socket, and ending it."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from minipod.cli.errors import CommandError

UCRED = struct.Struct("3i")


@dataclass(slots=True)
class DaemonProcess:
    """A process known by its pidfd, so that a pid that is used again is never signalled."""

    pid: int
    pidfd: int

    def terminate(self) -> None:
        """Ask it to end (SIGTERM); one that has ended already is fine."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it now (SIGKILL)."""
        self._send(signal.SIGKILL)

    def wait(self, timeout: float) -> bool:
        """Whether it has ended within `timeout` seconds."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(timeout * 1000))

    def close(self) -> None:
        os.close(self.pidfd)

    def _send(self, signum: signal.Signals) -> None:
        try:
            signal.pidfd_send_signal(self.pidfd, signum)
        except ProcessLookupError:
            pass


def find_daemon(path: str) -> DaemonProcess | None:
    """The process that listens on the socket; None when nobody does, or nobody but systemd.

    Raises CommandError when there is one that we may not see or signal.
    """
    if (pid := lock_holder_beside(Path(path))) != 0:
        # Better than to ask the socket: where systemd has opened it, connecting would start a daemon.
        return _open(pid)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as client:
        try:
            client.connect(path)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return None
        except OSError as error:
            raise CommandError(f"cannot use {path}: {error.strerror}") from error
        pid, _, _ = UCRED.unpack(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size))
        if pid == 0:
            raise CommandError(f"the daemon at {path} runs in another pid namespace: stop it from there")
        # The connection is still open, so the listener had not ended when its number was looked up.
        return None if pid == 1 else _open(pid)


def _open(pid: int) -> DaemonProcess | None:
    try:
        return DaemonProcess(pid, os.pidfd_open(pid))
    except ProcessLookupError:
        return None
    except OSError as error:
        raise CommandError(f"cannot reach the daemon (pid {pid}): {error.strerror}") from error


def lock_holder_beside(socket_path: Path) -> int:
    """The daemon that has locked the socket's directory; 0: none, as far as can be told."""
    try:
        return lock_holder(socket_path.with_name("lock").stat(), Path("/proc/locks").read_text())
    except OSError:
        return 0


def in_service(pid: int) -> bool:
    """Whether a process belongs to minipod.service, by its cgroup."""
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return False
    return any(line.endswith("/minipod.service") for line in groups)


@contextmanager
def held_lock(path: Path, timeout: float) -> Iterator[None]:
    """Hold the lock that a daemon holds while it uses a directory; one that has it is asked to end first.

    So no daemon can start while its directories are being removed. Nothing to hold where there is no such file.
    Raises CommandError when a daemon keeps it for more than `timeout` seconds.
    """
    try:
        file = path.open("r+")
    except FileNotFoundError:
        yield
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _end_holder(path, timeout)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CommandError(f"another process holds {path}: end it first (fuser {path})") from None
        yield


def _end_holder(path: Path, timeout: float) -> None:
    pid = lock_holder(path.stat(), Path("/proc/locks").read_text())
    if not pid:
        return
    try:
        daemon = DaemonProcess(pid, os.pidfd_open(pid))
    except ProcessLookupError:
        return
    with closing(daemon):
        daemon.terminate()
        if not daemon.wait(timeout):
            raise CommandError(
                f"the daemon (pid {pid}) has not ended within {timeout:g} s of SIGTERM: end it first"
            )


def lock_holder(file: os.stat_result, locks: str) -> int:
    """The pid that holds a flock on the file, from /proc/locks (proc_locks(5)); 0 when none is told."""
    wanted = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
    for line in locks.splitlines():
        fields = line.split()
        if "->" not in fields and fields[1] == "FLOCK" and fields[5] == wanted:
            return int(fields[4])
    return 0
