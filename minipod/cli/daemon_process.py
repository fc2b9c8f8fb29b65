"""The daemon seen from outside: which process holds the socket, and ending it."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
from dataclasses import dataclass

from minipod.cli.errors import CommandError

UCRED = struct.Struct("3i")


@dataclass(slots=True)
class DaemonProcess:
    """A process known by its pidfd, so that a pid that is used again is never signalled."""

    pid: int
    pidfd: int

    def terminate(self) -> None:
        """Ask it to end (SIGTERM); one that has ended already is fine."""
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGTERM)
        except ProcessLookupError:
            pass

    def wait(self, timeout: float) -> bool:
        """Whether it has ended within `timeout` seconds."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(timeout * 1000))

    def close(self) -> None:
        os.close(self.pidfd)


def find_daemon(path: str) -> DaemonProcess | None:
    """The process that listens on the socket; None when nobody does.

    Raises CommandError when there is one that we may not see or signal.
    """
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
        try:
            # The connection is still open, so the listener had not ended when its number was looked up.
            return DaemonProcess(pid, os.pidfd_open(pid))
        except ProcessLookupError:
            return None
        except OSError as error:
            raise CommandError(f"cannot reach the daemon (pid {pid}): {error.strerror}") from error
