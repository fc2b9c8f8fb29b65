"""A pod worker among fakes, for tests of what it does when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minipod.api import codec, core_v1
from minipod.kubelet.backoff import BackOffPolicy
from minipod.kubelet.history.journal import PodHistory
from minipod.kubelet.pods.pod_worker import PodWorker
from minipod.kubelet.services import Services, wall_clock_us
from minipod.kubelet.status.manager import StatusManager
from tests.fakes.runtime import FakeRuntime
from tests.fakes.services import FakeImages, FakeNetwork, RecordingClient, RecordingEvents
from tests.unit.kubelet.pods import settings


class Stage:
    """One worker among fakes."""

    def __init__(self, tmp_path: Path) -> None:
        self.runtime = FakeRuntime()
        self.network = FakeNetwork()
        self.images = FakeImages(tmp_path, "minipod/base")
        self.client = RecordingClient()
        self.clock_ahead = 0
        """Microseconds by which the worker's clock is ahead of time."""
        self.events = RecordingEvents()
        self.done = asyncio.Event()
        self._tmp_path = tmp_path
        self.worker: PodWorker
        self.services: Services

    def begin(self, made: core_v1.Pod, **changes: Any) -> None:
        """`changes`: NodeSettings that differ."""
        parts: Any = {"client": self.client, "runtime": self.runtime, "network": self.network}
        own: dict[str, Any] = {
            "data_dir": self._tmp_path / "data",
            "run_dir": self._tmp_path / "run",
            "log_dir": self._tmp_path / "log",
            "crash_loop": BackOffPolicy(initial=0.02, maximum=0.1, reset=600),
            "image_retry": BackOffPolicy(initial=60, maximum=60, reset=600),
        }
        self.services = Services(
            settings=settings(**{**own, **changes}),
            images=self.images,  # type: ignore[arg-type]
            events=self.events,  # type: ignore[arg-type]
            statuses=StatusManager(self.client),  # type: ignore[arg-type]
            history=PodHistory(self._tmp_path / "history", clock=wall_clock_us),
            clock=lambda: wall_clock_us() + self.clock_ahead,
            **parts,
        )
        self.worker = PodWorker(made, self.services, lambda _: self.done.set())
        self.runtime.subscribe(lambda _: self.worker.wake())

    def change(self, **metadata: Any) -> None:
        """The Pod comes back from the API with other metadata."""
        made = codec.copy(self.worker.pod)
        for field, value in metadata.items():
            setattr(made.metadata, field, value)
        self.worker.update(made)

    @property
    def phase(self) -> str | None:
        return self.client.statuses[-1].phase if self.client.statuses else None

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 (what is waited for is a fake's state, which tells nobody)
                await asyncio.sleep(0.001)

    def waits(self, name: str) -> str:
        """Why the container does not run, as last reported."""
        for status in self.client.statuses[-1:]:
            for found in (*status.initContainerStatuses, *status.containerStatuses):
                if found.name == name and found.state and found.state.waiting:
                    return found.state.waiting.reason or ""
        return ""

    def count_looks(self) -> Callable[[], int]:
        """How often the worker has looked at its processes since."""
        looks = 0
        real = self.runtime.status

        def counted(uid: str) -> Any:
            nonlocal looks
            looks += 1
            return real(uid)

        self.runtime.status = counted  # type: ignore[method-assign]
        return lambda: looks
