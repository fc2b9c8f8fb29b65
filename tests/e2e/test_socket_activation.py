"""A daemon that is given its socket by a service manager: the first client waits for it instead of failing."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from tests.helpers.daemon import Daemon

ACTIVATE = "systemd-socket-activate"


class Activated(Daemon):
    """Its socket is there before it is: the first connection starts it (systemd-socket-activate(1))."""

    activating = False

    def spawn(self) -> None:
        self.socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        self.activating = True
        try:
            super().spawn()
        finally:
            self.activating = False

    def _enter(self) -> list[str]:
        activate = [ACTIVATE, f"--listen={self.socket}"] if self.activating else []
        return [*super()._enter(), *activate]


@pytest.mark.skipif(shutil.which(ACTIVATE) is None, reason=f"no {ACTIVATE}: apt-get install systemd")
def test_the_first_client_starts_the_daemon_and_the_socket_stays_when_it_ends(
    workdir: Path, word: str
) -> None:
    daemon = Activated(workdir, word)
    try:
        daemon.start()
        inode = daemon.socket.stat().st_ino
        assert daemon.get("nodes")["items"][0]["metadata"]["name"] == daemon.node
        assert "a socket that systemd passed" not in daemon.log
        daemon.kill(signal.SIGTERM)
        assert daemon.socket.stat().st_ino == inode  # it belongs to whoever has passed it
        daemon.start()
    finally:
        daemon.end()
