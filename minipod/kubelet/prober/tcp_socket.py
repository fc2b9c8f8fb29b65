"""tcpSocket: whether somebody accepts a connection. Nothing is sent."""

from __future__ import annotations

import asyncio

from minipod.api import core_v1
from minipod.kubelet.prober.ports import PortError, resolve_port
from minipod.kubelet.prober.sockets import ResolveError, dial, dial_error, joined, resolve
from minipod.kubelet.prober.types import HandlerResult, Outcome, Target, failure


async def connect(
    action: core_v1.TCPSocketAction,
    target: Target,
    *,
    timeout: float | None,  # noqa: ASYNC109 (running out of time is an answer)
) -> HandlerResult:
    """SUCCESS once the peer's kernel has taken the connection, which is reset at once."""
    host = action.host or target.pod_ip
    if not host:
        return HandlerResult(Outcome.UNKNOWN, "the pod has no IP address")
    try:
        port = resolve_port(action.port, target.container)
    except PortError as error:
        return HandlerResult(Outcome.UNKNOWN, str(error))
    shown = joined(host, port)
    try:
        async with asyncio.timeout(timeout):
            (await dial(await resolve(host, port))).close()
    except TimeoutError:
        return failure(f"dial tcp {shown}: i/o timeout")
    except ResolveError as error:
        return failure(f"dial tcp: {error}")
    except OSError as error:
        return failure(dial_error(shown, error))
    return HandlerResult(Outcome.SUCCESS)
