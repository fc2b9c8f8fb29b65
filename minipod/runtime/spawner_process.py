"""The daemon's side of the fork server: starts it, asks it for shims, starts another when it dies."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
from pathlib import Path

import minipod
from minipod.linux.rlimit import Limit
from minipod.runtime.channel import MakeShim
from minipod.runtime.errors import ShimGoneError
from minipod.runtime.link import Link

log = logging.getLogger(__name__)

PACKAGE_PARENT = Path(minipod.__file__).parent.parent
RESTART_PAUSE = 1.0
"""Seconds between starts of a spawner that dies at once."""
KEPT_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "LANG", "TZ")


class SpawnerProcess:
    """One spawner at a time. A request that a dying spawner took with it shows as end of file to the requester."""

    def __init__(self, python: str, scratch: Path, open_files: Limit | None = None) -> None:
        """`scratch` is a directory for the spawner alone; `open_files` a limit for it and all that comes from it."""
        self._python = python
        self._scratch = scratch
        self._open_files = open_files
        self._process: subprocess.Popen[bytes] | None = None
        self._link: Link | None = None
        self._started_at = 0.0
        self._restarting: asyncio.Task[None] | None = None
        self._stopped = False

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Raises OSError when the interpreter cannot be started."""
        near, far = socket.socketpair()
        code = f"import sys; sys.path.insert(0, {str(PACKAGE_PARENT)!r}); "
        if self._open_files is not None:
            both = (self._open_files.soft, self._open_files.hard)
            code += f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, {both}); "
        code += f"from minipod.runtime.spawner import main; main({far.fileno()}, {str(self._scratch)!r})"
        with far:
            try:
                # A session of its own: signals to the daemon's group (Ctrl-C) are not for the spawner.
                self._process = subprocess.Popen(
                    [self._python, "-I", "-S", "-c", code],
                    stdin=subprocess.DEVNULL,
                    pass_fds=(far.fileno(),),
                    env=_environment(),
                    cwd="/",
                    start_new_session=True,
                )
            except BaseException:
                near.close()
                raise
        self._started_at = asyncio.get_running_loop().time()
        self._link = Link(near, (), on_event=lambda _received: None, on_lost=self._lost)

    def make_shim(self, message: MakeShim, fd: int) -> None:
        """Takes `fd`, the shim's end of its first connection. Raises ShimGoneError; then try again."""
        if self._link is None or self._link.closed:
            self._restart()
        assert self._link is not None
        self._link.send(message, fds=(fd,))

    async def stop(self) -> None:
        """The spawner ends by itself once its socket is closed; shims live on."""
        self._stopped = True
        if self._restarting is not None:
            self._restarting.cancel()
            await asyncio.gather(self._restarting, return_exceptions=True)
        if self._link is not None:
            self._link.close()
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)

    def _lost(self) -> None:
        if not self._stopped:
            log.warning("the spawner has died; starting another", extra={"pid": self.pid})
            self._restarting = asyncio.create_task(self._restart_soon())

    async def _restart_soon(self) -> None:
        lived = asyncio.get_running_loop().time() - self._started_at
        await asyncio.sleep(max(0.0, RESTART_PAUSE - lived))
        if self._link is not None and self._link.closed:
            self._restart()

    def _restart(self) -> None:
        if self._process is not None:
            # Its socket is closed, so it has ended or is about to.
            self._process.kill()
            self._process.wait()
        try:
            self.start()
        except OSError as error:
            raise ShimGoneError(f"cannot start a spawner: {error}") from error


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
    # Functions of shared libraries found once, not by every shim for itself in pages of its own.
    return {**kept, "LD_BIND_NOW": "1"}
