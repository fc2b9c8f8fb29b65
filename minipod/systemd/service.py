"""The daemon as a service: what it tells systemd and what it is given; nothing of it happens without systemd."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import socket
import subprocess
from pathlib import Path

from minipod.config import StopPolicy
from minipod.linux import sd_notify
from minipod.linux.sd_listen_fds import inherited_sockets
from minipod.systemd.stopping import PodsFate, pods_fate, queued_jobs

log = logging.getLogger(__name__)

SLACK = 15.0
"""Seconds that ending takes beyond the grace periods."""


class Service:
    """This process as systemd sees it. Make it once, before anything else is started."""

    def __init__(self) -> None:
        self.managed = bool(os.environ.get("NOTIFY_SOCKET"))
        """Whether systemd waits to be told how things are: with Type=notify."""
        self._sockets = inherited_sockets()
        self._watchdog: asyncio.Task[None] | None = None

    def take_socket(self, path: Path) -> socket.socket | None:
        """The socket that systemd listens with at this path, if it does."""
        for sock in self._sockets:
            if sock.family == socket.AF_UNIX and sock.getsockname() == str(path):
                self._sockets.remove(sock)
                return sock
        return None

    def starting(self) -> None:
        self._tell(sd_notify.status("starting: taking over the pods that run"))

    def ready(self, text: str) -> None:
        """Everything serves: from now on a hung event loop is noticed."""
        for sock in self._sockets:
            log.warning("closing a socket that systemd passed and nothing here uses: %s", sock.getsockname())
            sock.close()
        self._sockets.clear()
        self._tell(sd_notify.READY, sd_notify.status(text))
        if (seconds := sd_notify.watchdog_seconds()) is not None:
            # SIGABRT is how systemd ends a hung process: then its journal shows where every thread was.
            faulthandler.enable()
            self._watchdog = asyncio.create_task(self._keep_alive(seconds / 2), name="watchdog")

    def stopping(self, text: str, *, within: float = 0.0) -> None:
        """`within`: seconds that ending the pods may take."""
        states = [sd_notify.STOPPING, sd_notify.status(text)]
        if within:
            states.append(sd_notify.extend_timeout(within + SLACK))
        self._tell(*states)

    async def pods_fate(self, policy: StopPolicy) -> PodsFate:
        """What this stop means for the pods; in doubt they live on."""
        if not self.managed:
            return PodsFate.KEEP
        try:
            return pods_fate(await asyncio.to_thread(queued_jobs), policy)
        except (OSError, subprocess.SubprocessError) as error:
            log.warning("cannot ask systemd why the daemon is to end, so pods go on: %s", error)
            return PodsFate.KEEP

    async def close(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            await asyncio.gather(self._watchdog, return_exceptions=True)

    async def _keep_alive(self, interval: float) -> None:
        while True:
            self._tell(sd_notify.WATCHDOG)
            await asyncio.sleep(interval)

    def _tell(self, *states: str) -> None:
        try:
            sd_notify.notify(*states)
        except OSError as error:
            log.warning("cannot notify systemd: %s", error)
