"""The node's own pages below nodes/NAME/proxy/: images, a pod's anatomy, statistics, shutting down.

GET    healthz
GET    images                             what the store has, and which pods use it
GET    images/inspect?name=NAME
POST   images/import                      body: a docker-save or OCI archive
POST   images/build-rootfs?name=NAME      body: a tar of the root file system
DELETE images?name=NAME[&force=true]
GET    pods/UID/anatomy
GET    pods/NAMESPACE/NAME/history[?uid=UID]
POST   pods/NAMESPACE/NAME/restart[?container=NAME]
GET    stats/summary
GET    metrics/resource | metrics/cadvisor   Prometheus' text format
POST   down[?gracePeriodSeconds=N]
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from minipod.api import codec, core_v1
from minipod.api.errors import StatusError, bad_request, method_not_allowed, no_such_resource, not_found
from minipod.api.scheme import PODS
from minipod.client.node import ProxyRequest, ProxyResponse
from minipod.kubelet.gc.image_collector import ImageCollector
from minipod.kubelet.pods.pod_worker import PodWorker
from minipod.kubelet.server import anatomy, image_pages, metrics, restarts
from minipod.kubelet.server.exposition import CONTENT_TYPE
from minipod.kubelet.server.history_pages import history_page
from minipod.kubelet.server.stats import Summaries
from minipod.kubelet.services import Services


class NodePages:
    """`workers` is the kubelet's own map, by pod uid."""

    def __init__(
        self,
        services: Services,
        workers: Mapping[str, PodWorker],
        shut_down_pods: Callable[[float | None], Awaitable[list[core_v1.Pod]]],
        image_gc: ImageCollector,
    ) -> None:
        self._services = services
        self._workers = workers
        self._shut_down_pods = shut_down_pods
        self._summaries = Summaries(services)
        self._images = image_pages.ImagePages(services.images, services.runtime, workers, image_gc)

    async def answer(self, request: ProxyRequest) -> ProxyResponse:
        """Raises StatusError."""
        match request.path.strip("/").split("/"):
            case ["healthz"]:
                _expect(request, "GET")
                return ProxyResponse(status=200, body=b"ok", content_type="text/plain; charset=utf-8")
            case ["images", *rest]:
                return _json(await self._images.answer(request, "/".join(rest)))
            case ["pods", uid, "anatomy"]:
                _expect(request, "GET")
                return _json(await self._anatomy(uid))
            case ["pods", namespace, name, "history"]:
                _expect(request, "GET")
                uid = request.query.get("uid", "")
                return _json(await history_page(self._services, self._workers, namespace, name, uid))
            case ["pods", namespace, name, "restart"]:
                _expect(request, "POST")
                container = request.query.get("container", "")
                return _json(restarts.restart(self._workers.values(), namespace, name, container))
            case ["stats", "summary"]:
                _expect(request, "GET")
                pods = [worker.current_pod for worker in self._workers.values()]
                return _json(await asyncio.to_thread(self._summaries.summary, pods))
            case ["metrics", ("resource" | "cadvisor") as which]:
                _expect(request, "GET")
                pods = [worker.current_pod for worker in self._workers.values()]
                make = metrics.resource_page if which == "resource" else metrics.cadvisor_page
                text = await asyncio.to_thread(make, self._services, pods)
                return ProxyResponse(status=200, body=text.encode(), content_type=CONTENT_TYPE)
            case ["down"]:
                _expect(request, "POST")
                return _json(await self._down(request.query))
            case _:
                raise no_such_resource()

    async def _anatomy(self, uid: str) -> Any:
        worker = self._workers.get(uid)
        if worker is None:
            raise not_found(PODS, uid)
        facts = anatomy.PodFacts(
            pod=worker.current_pod,
            context=worker.sandbox.context,
            sandbox=self._services.runtime.status(uid),
            attachment=self._services.network.attachment(uid),
            images={image.id: image for image in self._services.images.list()},
        )
        return await asyncio.to_thread(anatomy.describe, facts)

    async def _down(self, query: Mapping[str, str]) -> Any:
        pods = await self._shut_down_pods(_grace(query))
        return {
            "pods": [
                {"namespace": p.metadata.namespace, "name": p.metadata.name, "uid": p.metadata.uid}
                for p in pods
            ]
        }


def _grace(query: Mapping[str, str]) -> float | None:
    text = query.get("gracePeriodSeconds", "")
    if not text:
        return None
    if not text.isdecimal():
        raise bad_request(f'gracePeriodSeconds: expected a number of seconds, got "{text}"')
    return float(text)


def _expect(request: ProxyRequest, method: str) -> None:
    if request.method != method:
        raise method_not_allowed(request.path, request.method)


def _json(value: Any) -> ProxyResponse:
    return ProxyResponse(status=200, body=codec.encode(value))


__all__ = ["NodePages", "StatusError"]
