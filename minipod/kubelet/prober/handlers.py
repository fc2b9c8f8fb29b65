"""One door to every handler: what a probe asks and what a lifecycle hook does.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#probe-check-methods
"""

from __future__ import annotations

import asyncio

from minipod.api import core_v1
from minipod.kubelet.prober.exec_command import run_command
from minipod.kubelet.prober.grpc_health import check_health
from minipod.kubelet.prober.http_get import Purpose, get
from minipod.kubelet.prober.sockets import NoSocketError
from minipod.kubelet.prober.tcp_socket import connect
from minipod.kubelet.prober.types import ExecRuntime as ExecRuntime
from minipod.kubelet.prober.types import HandlerResult as HandlerResult
from minipod.kubelet.prober.types import Outcome as Outcome
from minipod.kubelet.prober.types import Target as Target
from minipod.kubelet.prober.types import failure


async def run_handler(
    handler: core_v1.Probe | core_v1.LifecycleHandler,
    target: Target,
    runtime: ExecRuntime,
    *,
    timeout: float | None,  # noqa: ASYNC109 (each handler has its own words for running out of time)
) -> HandlerResult:
    """Run a probe's or a hook's one handler once. `timeout`: seconds for all of it; None: as long as it takes.

    Whatever the peer or the command does comes back as a result. Raises only CancelledError, and then what the handler
    had opened or started is closed or killed.
    """
    try:
        return await _run(handler, target, runtime, timeout)
    except NoSocketError as error:
        return HandlerResult(Outcome.UNKNOWN, str(error))


async def _run(
    handler: core_v1.Probe | core_v1.LifecycleHandler,
    target: Target,
    runtime: ExecRuntime,
    timeout: float | None,  # noqa: ASYNC109
) -> HandlerResult:
    if handler.exec is not None:
        expand = isinstance(handler, core_v1.Probe)
        return await run_command(handler.exec.command, target, runtime, timeout=timeout, expand_env=expand)
    if handler.httpGet is not None:
        purpose = Purpose.PROBE if isinstance(handler, core_v1.Probe) else Purpose.LIFECYCLE
        return await get(handler.httpGet, target, purpose, timeout=timeout)
    if handler.tcpSocket is not None:
        return await connect(handler.tcpSocket, target, timeout=timeout)
    if isinstance(handler, core_v1.Probe):
        if handler.grpc is not None:
            return await check_health(handler.grpc, target, timeout=timeout)
    elif handler.sleep is not None:
        return await _sleep(handler.sleep, timeout)
    return HandlerResult(Outcome.UNKNOWN, f"missing probe handler for container {target.container.name}")


async def _sleep(action: core_v1.SleepAction, timeout: float | None) -> HandlerResult:  # noqa: ASYNC109
    if timeout is None or action.seconds <= timeout:
        await asyncio.sleep(action.seconds)
        return HandlerResult(Outcome.SUCCESS)
    await asyncio.sleep(timeout)
    return failure(f"sleep of {action.seconds}s was cut short after {timeout:g}s")
