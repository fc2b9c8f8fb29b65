"""Finding again what an earlier daemon made, and finding out what became of it.

A shim that answers tells the truth. One that does not is dead, or as good as that: the rest of its pod is killed, and
what it left on disk is the truth.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal

from minipod.runtime import removal
from minipod.runtime.errors import RuntimeServiceError
from minipod.runtime.handle import SandboxHandle
from minipod.runtime.state import ProcessIdentity, is_alive
from minipod.runtime.types import SandboxState

log = logging.getLogger(__name__)


async def adopt(handle: SandboxHandle) -> bool:
    """Connect to the sandbox's shim, or bury it. False when nothing of it is worth keeping: remove it then.

    That is a sandbox whose making was interrupted: it never was ready and has no containers.
    """
    try:
        await handle.reconnect()
    except (OSError, RuntimeServiceError) as error:
        log.warning("sandbox lost its shim: %s", error, extra={"uid": handle.uid})
        await bury(handle)
    else:
        records = await asyncio.to_thread(handle.directory.read_containers)
        handle.rootfs = {container_id: record.rootfs for container_id, record in records.items()}
    never_ready = handle.status.state is SandboxState.NOT_READY and not handle.status.infra_pid
    return bool(handle.status.containers) or not never_ready or handle.record.state is SandboxState.READY


async def recover(handle: SandboxHandle) -> None:
    """The connection has ended by itself: a shim that lives is asked again, a dead one is buried."""
    if handle.link is not None:
        handle.link = None
    if handle.pidfd >= 0 and _lives(handle.pidfd):
        await adopt(handle)
    else:
        log.warning("the shim has died; its pod is killed", extra={"uid": handle.uid})
        await bury(handle)


async def bury(handle: SandboxHandle) -> None:
    """End what is left of a sandbox without a shim and take in what is on record."""
    await asyncio.to_thread(_end_shim, handle.pidfd, handle.record.shim)
    record = handle.directory.read_sandbox() or handle.record
    handle.bury(*await asyncio.to_thread(removal.bury, handle.directory, record))


def _lives(pidfd: int) -> bool:
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return False
    return True


def _end_shim(pidfd: int, identity: ProcessIdentity | None) -> None:
    """A shim that lives but does not answer would go on writing; its pod's cgroup may not hold it (yet)."""
    if pidfd >= 0:
        _kill(pidfd)
    elif identity is not None:
        try:
            found = os.pidfd_open(identity.pid)
        except ProcessLookupError:
            return
        try:
            if is_alive(identity):
                _kill(found)
        finally:
            os.close(found)


def _kill(pidfd: int) -> None:
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        pass
