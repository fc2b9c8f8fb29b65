"""A process that writes as fast as it can and says what was acknowledged, until it is killed.

    python -m tests.unit.storage.writer_process FILE

Each line is the number of a writer, once for each of its writes that was acknowledged.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path

from minipod.api.scheme import RESOURCES
from minipod.storage.store import Store
from tests.unit.storage.objects import key, pod, put, remove

WRITERS = 4


def write_number(number: int) -> tuple[str, str | None]:
    """(which object, which value; None for its removal): the same sequence for each writer."""
    return str(number % 5), None if number % 7 == 6 else str(number)


def state_after(writes: int) -> dict[str, str]:
    """What a writer's objects are after so many writes."""
    state: dict[str, str] = {}
    for which, value in map(write_number, range(writes)):
        state.pop(which, None)
        if value is not None:
            state[which] = value
    return state


async def write_forever(store: Store, writer: int) -> None:
    for number in itertools.count():
        which, value = write_number(number)
        name = f"{writer}-{which}"
        decide = (
            remove if value is None else put(pod(name, labels={"value": value}), durable=number % 2 == 0)
        )
        await store.write(key(name), decide)
        os.write(1, b"%d\n" % writer)


async def main() -> None:
    store = Store(Path(sys.argv[1]), RESOURCES)
    await store.start()
    await asyncio.gather(*(write_forever(store, writer) for writer in range(WRITERS)))


if __name__ == "__main__":
    asyncio.run(main())
