"""A daemon's runtime service as a process of its own, for tests to kill: python -m tests.kernel.runtime.daemon_side.

Reads one JSON line {"workdir", "word", "containers": [[args...], ...], "abort": ...}, makes the sandbox pod-1 with
these containers, prints {"spawner": pid, "sandbox": status} and then waits to be killed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from minipod.runtime import wire
from tests.kernel.runtime.world import World


async def main() -> None:
    order = json.loads(sys.stdin.readline())
    world = World(Path(order["workdir"]), order["word"], image=Path(order["image"]))
    await world.service.start()
    sandbox = await world.service.run_sandbox(world.sandbox())
    for number, args in enumerate(order["containers"]):
        await world.run(sandbox, *args, name=f"c{number}")
    status = world.service.status("pod-1")
    answer = {"spawner": world.spawner_pid, "sandbox": json.loads(wire.encode(status))}
    print(json.dumps(answer), flush=True)
    await asyncio.sleep(1000)


asyncio.run(main())
