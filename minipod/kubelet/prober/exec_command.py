"""exec: a command in the container, through the pod's shim; its exit code decides."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from minipod.kubelet.containers.container_config import exec_process
from minipod.kubelet.containers.environment import expand
from minipod.kubelet.pod_names import AnyContainer
from minipod.kubelet.prober.types import MAX_OUTPUT, ExecRuntime, HandlerResult, Outcome, Target, failure
from minipod.runtime.errors import RuntimeServiceError
from minipod.runtime.streams import ProcessStreams
from minipod.runtime.types import ExecConfig

DRAIN = 0.1
"""Seconds to go on reading after the command has ended."""
PAUSE = 0.005
"""Seconds between reads beyond what is kept; a pipe's 64 KiB each time are 13 MB/s."""


async def run_command(
    command: Sequence[str],
    target: Target,
    runtime: ExecRuntime,
    *,
    timeout: float | None,  # noqa: ASYNC109 (the command must be killed then)
    expand_env: bool,
) -> HandlerResult:
    """SUCCESS for exit code 0, with stdout and stderr as they came; UNKNOWN when the command could not be started.

    With `expand_env`, $(NAME) is replaced by the container's own env entries that have a plain value, as for probes.
    What is said of the command shows it unexpanded: it becomes an event, and values may be secrets.
    """
    written = command
    if expand_env:
        command = static_command(command, target.container)
    uid = target.pod.metadata.uid or ""
    sandbox = runtime.status(uid)
    container = sandbox.container(target.container_id) if sandbox is not None else None
    if container is None:
        return HandlerResult(Outcome.UNKNOWN, f"container {target.container.name} is not there any more")
    config = ExecConfig(process=exec_process(container.labels, tuple(command), tty=False))
    try:
        async with asyncio.timeout(timeout):
            streams = await runtime.exec(uid, target.container_id, config)
            try:
                return await _result(streams)
            finally:
                await streams.close()
    except TimeoutError:
        return failure(f'command timed out: "{" ".join(written)}" timed out after {timeout:g}s')
    except RuntimeServiceError as error:
        return HandlerResult(Outcome.UNKNOWN, str(error).replace(command[0], written[0]))


async def _result(streams: ProcessStreams) -> HandlerResult:
    kept = bytearray()
    reading = asyncio.ensure_future(_read(streams, kept))
    try:
        exit_ = await streams.wait()
        # A child of the command may keep its output open for ever; what the command itself wrote is there by now.
        await asyncio.wait([reading], timeout=DRAIN)
    finally:
        reading.cancel()
    output = kept.decode(errors="replace")
    return HandlerResult(Outcome.SUCCESS if exit_.code == 0 else Outcome.FAILURE, output)


async def _read(streams: ProcessStreams, kept: bytearray) -> None:
    """Read to the end, so that no command stands still for want of a reader, but keep the beginning only."""
    while (piece := await streams.read()) is not None:
        kept += piece[1][: MAX_OUTPUT - len(kept)]
        if len(kept) == MAX_OUTPUT:
            # What comes now is thrown away: a command that never stops talking must not take the daemon's time for it.
            await asyncio.sleep(PAUSE)


def static_command(command: Sequence[str], container: AnyContainer) -> list[str]:
    """The command with $(NAME) replaced from env entries that have a value and no source."""
    values = {v.name: v.value or "" for v in container.env if v.valueFrom is None}
    return [expand(word, values.get) for word in command]
