"""The image store over nodes/NAME/proxy/images: what `minipod image` speaks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from minipod.api.errors import (
    StatusError,
    bad_request,
    conflict,
    internal_error,
    method_not_allowed,
    no_such_resource,
)
from minipod.api.timestamps import from_epoch_us
from minipod.client.node import ProxyRequest
from minipod.images.errors import ImageError, ImageNotFoundError, ImageStoreError
from minipod.images.store import ImageStore
from minipod.images.types import Image
from minipod.kubelet.gc.image_collector import ImageCollector
from minipod.kubelet.pods.pod_worker import PodWorker
from minipod.kubelet.status.records import LABEL_IMAGE_ID
from minipod.runtime.service import RuntimeService


class ImagePages:
    """`workers` is the kubelet's own map, by pod uid."""

    def __init__(
        self,
        store: ImageStore,
        runtime: RuntimeService,
        workers: Mapping[str, PodWorker],
        collector: ImageCollector,
    ) -> None:
        self._store = store
        self._collector = collector
        self._runtime = runtime
        self._workers = workers

    async def answer(self, request: ProxyRequest, rest: str) -> Any:
        """`rest` is the path after "images". Raises StatusError."""
        try:
            match request.method, rest:
                case "GET", "":
                    users = self._users()
                    return {
                        "images": [_row(i) | {"usedBy": users.get(i.id, [])} for i in self._store.list()]
                    }
                case "GET", "inspect":
                    return _details(self._find(_name(request)))
                case "POST", "import" | "":
                    name = request.query.get("name", "")
                    return {
                        "images": [
                            _row(i) for i in await self._store.import_archive(_body(request), name=name)
                        ]
                    }
                case "POST", "build-rootfs":
                    return {"images": [_row(await self._store.build_rootfs(_body(request), _name(request)))]}
                case "POST", "prune":
                    pruned = await self._collector.prune(named=request.query.get("all") == "true")
                    return {"deleted": [_row(image) for image in pruned]}
                case "DELETE", "":
                    return await self._remove(_name(request), force=request.query.get("force") == "true")
                case _, "" | "inspect" | "import" | "build-rootfs" | "prune":
                    raise method_not_allowed("images", request.method)
                case _:
                    raise no_such_resource()
        except ImageNotFoundError as error:
            raise StatusError(404, "NotFound", str(error)) from error
        except ImageStoreError as error:
            raise internal_error(str(error)) from error
        except ImageError as error:
            raise bad_request(str(error)) from error

    def _find(self, name: str) -> Image:
        image = self._store.resolve(name)
        if image is None:
            raise ImageNotFoundError(name)
        return image

    async def _remove(self, name: str, *, force: bool) -> Any:
        """An image that containers run from keeps its layers until they are gone; without `force` it is refused."""
        users = self._users()
        present = self._store.resolve(name)
        used_by = users.get(present.id, []) if present else []
        if used_by and not force:
            raise conflict(
                "images", name, f"it is in use by {', '.join(used_by)}; delete the pods first or use force"
            )
        in_use = [layer for image in self._store.list() if image.id in users for layer in image.layers]
        removed = await self._store.remove(name, in_use)
        gone = self._store.resolve(removed.id) is None
        left = self._store.resolve(removed.id)
        untagged = [n for n in removed.names if left is None or n not in left.names]
        return {"untagged": untagged} | ({"deleted": removed.id} if gone else {})

    def _users(self) -> dict[str, list[str]]:
        """Image ID -> the pods (namespace/name) that have containers made from it."""
        found: dict[str, set[str]] = {}
        for uid, worker in self._workers.items():
            sandbox = self._runtime.status(uid)
            meta = worker.pod.metadata
            for container in sandbox.containers if sandbox else ():
                image = container.labels.get(LABEL_IMAGE_ID, "")
                found.setdefault(image, set()).add(f"{meta.namespace}/{meta.name}")
        return {image: sorted(pods) for image, pods in found.items()}


def _row(image: Image) -> dict[str, Any]:
    return {
        "id": image.id,
        "names": list(image.names),
        "digest": image.digest,
        "size": image.size,
        "createdAt": from_epoch_us(image.created_at),
        "layers": len(image.layers),
    }


def _details(image: Image) -> dict[str, Any]:
    return _row(image) | {"layers": [str(layer) for layer in image.layers], "config": dict(image.config)}


def _name(request: ProxyRequest) -> str:
    name = request.query.get("name", "")
    if not name:
        raise bad_request("name: the query needs the image's name")
    return name


def _body(request: ProxyRequest) -> AsyncIterator[bytes]:
    if request.body is None:
        raise bad_request("the request needs a body: the archive")
    return request.body
