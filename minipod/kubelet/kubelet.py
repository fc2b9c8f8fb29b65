"""The node agent: feeds one worker per Pod of this node, and takes over what an earlier daemon left running.

It wakes for three things: a Pod changed (the informer calls), a process of a pod changed (the runtime calls), an
image came or went (the image store calls). Nothing is polled.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack

from minipod.api import core_v1, timestamps
from minipod.api.errors import StatusError
from minipod.api.scheme import PODS
from minipod.client.events import EventRecorder
from minipod.client.informer import Informer
from minipod.client.interface import Client
from minipod.client.node import NodeConnection
from minipod.images.errors import ImageError
from minipod.images.store import ImageStore
from minipod.kubelet import events
from minipod.kubelet.arrivals import Arrivals
from minipod.kubelet.eviction.limit_watch import LimitWatch
from minipod.kubelet.eviction.manager import EvictionManager
from minipod.kubelet.eviction.types import Pressure
from minipod.kubelet.gc.dead_container_collector import DeadContainerCollector
from minipod.kubelet.gc.image_collector import ImageCollector
from minipod.kubelet.gc.node_storage import NodeStorage
from minipod.kubelet.history.journal import PodHistory
from minipod.kubelet.node_cgroups import NodeCgroups
from minipod.kubelet.node_status import build_node, pressure_events, register_node, write_status
from minipod.kubelet.oom_watcher import OomWatcher
from minipod.kubelet.pods.pod_worker import PodWorker
from minipod.kubelet.pods.termination import grace_seconds
from minipod.kubelet.server.server import NodeServer
from minipod.kubelet.services import Services, wall_clock_us
from minipod.kubelet.settings import NodeSettings
from minipod.kubelet.shutdown.ending import end_in_order
from minipod.kubelet.shutdown.order import Group
from minipod.kubelet.status.fates import FINAL_PHASES
from minipod.kubelet.status.manager import StatusManager
from minipod.kubelet.status.records import LABEL_IMAGE_ID
from minipod.linux.tree import remove_tree
from minipod.network.pod_network import PodNetwork
from minipod.runtime.service import RuntimeService

log = logging.getLogger(__name__)

STATUS_RETRY = 5.0
"""Seconds until a status of the Node is written anew that the API could not take (its disk is full, say)."""


class Kubelet:
    """One node. `runtime`, `network` and `images` are started by the caller before, and stopped after."""

    def __init__(
        self,
        *,
        settings: NodeSettings,
        client: Client,
        runtime: RuntimeService,
        network: PodNetwork,
        images: ImageStore,
        clock: Callable[[], int] = wall_clock_us,
    ) -> None:
        """`clock`: microseconds since the epoch."""
        history = PodHistory(settings.data_dir / "history", clock=clock, log_dir=settings.log_dir)
        self._services = Services(
            settings=settings,
            client=client,
            runtime=runtime,
            network=network,
            images=images,
            events=EventRecorder(
                client, component="kubelet", host=settings.node_name, on_event=history.event
            ),
            statuses=StatusManager(client),
            history=history,
            clock=clock,
        )
        self._groups = NodeCgroups(settings, self._services.events)
        self._workers: dict[str, PodWorker] = {}
        self._image_gc = ImageCollector(self._services, lambda: self._pods.list())
        self._container_gc = DeadContainerCollector(self._services, self._workers)
        self._eviction = EvictionManager(
            self._services,
            self._workers,
            storage=NodeStorage(self._services, self._image_gc, self._container_gc),
            on_change=self._pressures_changed,
        )
        self._services.node.source = self._eviction
        self._limit_watch = LimitWatch(self._services)
        self._oom_watcher = OomWatcher(self._services, self._workers)
        self._arrivals = Arrivals(runs=lambda uid: runtime.status(uid) is not None, start=self._start_worker)
        self._selector = f"spec.nodeName={settings.node_name}"
        self._pods = Informer(
            client,
            PODS,
            field_selector=self._selector,
            on_add=self._pod_added,
            on_update=self._pod_changed,
            on_delete=self._pod_gone,
        )
        self._node: core_v1.Node | None = None
        self._image_task: asyncio.Task[None] | None = None
        self._image_news = asyncio.Event()
        self._subscriptions = ExitStack()
        self._shutting_down = False
        self._server = NodeServer(self._services, self._workers, self.shut_down_pods, self._image_gc)

    @property
    def connection(self) -> NodeConnection:
        """What the API server asks of this node."""
        return self._server

    async def start(self) -> None:
        """Register the node, adopt or clean up what is there, and begin to follow the API. Raises StatusError."""
        services = self._services
        services.events.start()
        self._node = await register_node(services.client, services.settings, services.images.list())
        self._groups.start()
        self._oom_watcher.start()
        listed = await services.client.list(PODS, field_selector=self._selector)
        uids = {pod.metadata.uid or "" for pod in listed.items}
        for pod in listed.items:
            if pod.status.startTime and pod.status.phase not in FINAL_PHASES:
                services.node.take(pod)  # it was let in by an earlier daemon
        services.history.start(uids)
        await self._remove_strangers(uids)
        self._subscriptions.callback(services.runtime.subscribe(self._processes_changed))
        self._subscriptions.callback(services.images.subscribe(self._images_changed))
        self._pods.start()
        await self._pods.synced()
        self._image_gc.start()
        self._container_gc.start()
        self._eviction.start()
        self._arrivals.begin()
        self._image_task = asyncio.create_task(self._follow_images(), name="kubelet-images")
        services.events.node_event(
            services.settings.node_name, events.NORMAL, events.STARTING, "Starting kubelet."
        )
        log.info("kubelet started", extra={"node": services.settings.node_name, "pods": len(self._workers)})

    async def stop(self) -> None:
        """Let go of everything; pods live on."""
        self._subscriptions.close()
        self._oom_watcher.stop()
        await self._eviction.stop()
        await self._image_gc.stop()
        await self._container_gc.stop()
        await self._limit_watch.stop()
        await self._pods.stop()
        await self._arrivals.stop()
        if self._image_task:
            self._image_task.cancel()
            await asyncio.gather(self._image_task, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in list(self._workers.values())))
        await self._services.statuses.stop()
        await self._services.events.stop()
        self._services.history.flush()

    async def shut_down_pods(self, grace: float | None = None) -> list[core_v1.Pod]:
        """End every pod's processes and start no more; the Pods stay in the API and start again with the next daemon.

        `grace`: seconds, an upper bound for each pod's own grace period. Returns the Pods, once all have ended.
        """
        await self._begin_shutdown()
        workers = list(self._workers.values())
        await asyncio.gather(*(worker.shut_down(grace) for worker in workers))
        return [worker.pod for worker in workers]

    async def shut_down_in_order(self, groups: Sequence[Group]) -> None:
        """The same for a shutdown of the machine: group after group, each within its time (KEP-2712)."""
        node_name = self._services.settings.node_name
        if not self._shutting_down:
            message = "Shutdown manager detected shutdown event"
            self._services.events.node_event(node_name, events.NORMAL, events.NODE_SHUTDOWN, message)
            await self._begin_shutdown()
        await end_in_order(self._workers, groups)

    def longest_grace(self) -> float:
        """Seconds that shut_down_pods may take."""
        pods = (worker.pod for worker in self._workers.values())
        return max((grace_seconds(pod, gone=False) for pod in pods), default=0.0)

    async def resume(self) -> None:
        """The shutdown was called off: every pod runs again."""
        self._shutting_down = False
        self._image_news.set()
        workers = list(self._workers.values())
        self._workers.clear()
        await asyncio.gather(*(worker.stop() for worker in workers))
        for pod in self._pods.list():
            self._pod_added(pod)

    async def _begin_shutdown(self) -> None:
        self._shutting_down = True
        self._image_news.set()  # the Node says so, too
        await self._arrivals.stop()

    # -- what happens ----------------------------------------------------------------------------------------------

    def _pod_added(self, pod: core_v1.Pod) -> None:
        if self._shutting_down:
            message = "The node is shutting down: the pod is not started before it is back"
            self._services.events.pod_event(pod, events.WARNING, events.NODE_SHUTDOWN, message)
        elif not self._arrivals.hold(pod):
            self._start_worker(pod)

    def _start_worker(self, pod: core_v1.Pod) -> PodWorker:
        worker = PodWorker(pod, self._services, self._worker_done)
        self._workers[worker.uid] = worker
        self._limit_watch.follow(worker)
        self._eviction.pods_changed()
        self._weigh_qos_groups()
        return worker

    def _pod_changed(self, before: core_v1.Pod, pod: core_v1.Pod) -> None:
        worker = self._workers.get(pod.metadata.uid or "")
        if worker is not None:
            worker.update(pod)
            if before.metadata.generation != pod.metadata.generation:
                self._weigh_qos_groups()  # its requests may have been resized
        self._arrivals.update(pod)
        if pod.status.phase in FINAL_PHASES and before.status.phase not in FINAL_PHASES:
            self._image_gc.pod_ended(pod)

    def _pod_gone(self, pod: core_v1.Pod) -> None:
        worker = self._workers.get(pod.metadata.uid or "")
        if worker is not None:
            worker.removed()
        self._arrivals.gone(pod)
        self._image_gc.pod_ended(pod)

    def _worker_done(self, worker: PodWorker) -> None:
        self._workers.pop(worker.uid, None)
        self._eviction.pods_changed()
        self._weigh_qos_groups()

    def _processes_changed(self, uid: str) -> None:
        worker = self._workers.get(uid)
        if worker is not None:
            worker.wake()
        self._container_gc.pod_changed(uid)
        if self._services.runtime.status(uid) is None:
            self._image_gc.look_soon()

    def _images_changed(self) -> None:
        for worker in self._workers.values():
            worker.images_changed()
        self._eviction.look_soon()
        self._image_gc.look_soon()
        self._image_news.set()

    def _pressures_changed(self, before: Collection[Pressure], now: Collection[Pressure]) -> None:
        for reason in pressure_events(before, now):
            message = f"Node {self._services.settings.node_name} status is now: {reason}"
            self._services.events.node_event(
                self._services.settings.node_name, events.NORMAL, reason, message
            )
        self._image_news.set()

    async def _follow_images(self) -> None:
        """The Node names the images it has, and the pressures it is under."""
        await self._collect_images()
        while True:
            await self._image_news.wait()
            self._image_news.clear()
            services = self._services
            assert self._node is not None
            wanted = build_node(
                services.settings,
                services.images.list(),
                now=timestamps.now(),
                pressures=self._eviction.held,
                shutting_down=self._shutting_down,
            )
            try:
                self._node = await write_status(services.client, self._node, wanted.status)
            except StatusError as error:
                log.warning("cannot write the node's status: %s", error)
                asyncio.get_running_loop().call_later(STATUS_RETRY, self._image_news.set)

    async def _collect_images(self) -> None:
        """Delete what interrupted imports and removals of an earlier daemon left, unless a container runs from it."""
        sandboxes = self._services.runtime.sandboxes()
        used = {c.labels.get(LABEL_IMAGE_ID) for sandbox in sandboxes for c in sandbox.containers}
        images = self._services.images
        try:
            await images.collect(
                [layer for image in images.list() if image.id in used for layer in image.layers]
            )
        except (ImageError, OSError) as error:
            log.warning("cannot collect unused images: %s", error)

    # -- the machine -----------------------------------------------------------------------------------------------

    async def _remove_strangers(self, uids: Collection[str]) -> None:
        """What belongs to Pods that the API does not have (any more)."""
        settings = self._services.settings
        await self._services.runtime.retain(uids)
        await self._services.network.retain(uids)
        for directory in (settings.run_dir / "shared", settings.data_dir / "pods"):
            for uid in set(os.listdir(directory) if directory.exists() else ()) - set(uids):
                log.info("removing what is left of a pod that is gone", extra={"uid": uid})
                for path in (*settings.log_dir.glob(f"*_{uid}"), directory / uid):
                    await self._services.runtime.removals.run(remove_tree, path)

    def _weigh_qos_groups(self) -> None:
        """Burstable pods share CPU with the others by the sum of their requests."""
        self._groups.weigh(worker.pod for worker in self._workers.values())
