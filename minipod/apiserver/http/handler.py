"""From a request to the function that answers it; whatever goes wrong on the way becomes a Status."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from aiohttp import web

from minipod.api import errors, scheme
from minipod.api.errors import StatusError
from minipod.apiserver.authorization import authorize
from minipod.apiserver.http import (
    discovery,
    logs,
    node_proxy,
    objects,
    openapi,
    responses,
    streams,
    watching,
)
from minipod.apiserver.http.call import Call
from minipod.apiserver.http.paging import Pager
from minipod.apiserver.http.request_info import RequestInfo, parse
from minipod.apiserver.registry.registry import Registry
from minipod.apiserver.users import Authenticator, User
from minipod.apiserver.version import version
from minipod.client.node import NodeConnection

log = logging.getLogger(__name__)

Answer: TypeAlias = Callable[[Call], Awaitable[web.StreamResponse]]

_PART: Mapping[str, Answer] = {"get": objects.get, "update": objects.update, "patch": objects.patch}
"""Of a subresource that is a part of the object, such as its status."""
_SUBRESOURCES: Mapping[tuple[str, str], Mapping[str, Answer]] = {
    ("pods", "attach"): {"get": streams.attach, "create": streams.attach},
    ("pods", "binding"): {"create": objects.bind},
    ("pods", "ephemeralcontainers"): _PART,
    ("pods", "exec"): {"get": streams.exec_, "create": streams.exec_},
    ("pods", "log"): {"get": logs.log},
    ("pods", "resize"): _PART,
}
_STREAMING = ("attach", "exec", "log")
_HEALTH = ("/healthz", "/livez", "/readyz")


class Handler:
    """Answers the requests of all listeners."""

    def __init__(
        self,
        registry: Registry,
        nodes: Mapping[str, NodeConnection],
        is_ready: Callable[[], bool],
        is_closing: Callable[[], bool],
    ) -> None:
        self._registry = registry
        self._nodes = nodes
        self._is_ready = is_ready
        self._is_closing = is_closing
        self._pager = Pager()
        self._streaming: set[asyncio.Task[Any]] = set()
        self._verbs: Mapping[str, Answer] = {
            "get": objects.get,
            "list": self._list,
            "watch": watching.watch,
            "create": objects.create,
            "update": objects.update,
            "patch": objects.patch,
            "delete": objects.delete,
            "deletecollection": objects.delete_collection,
        }

    async def answer(self, request: web.BaseRequest, authenticate: Authenticator) -> web.StreamResponse:
        """Never raises but for cancellation and connections that are gone."""
        warnings: list[str] = []
        try:
            user = authenticate(request)
            info = parse(request.method, request.raw_path)
            authorize(user, info)
            if info.is_resource:
                return await self._resource(request, info, user, warnings)
            return await self._other(request, info)
        except StatusError as error:
            return self._failure(request, error, warnings)
        except ConnectionError:
            raise
        except Exception:
            log.exception(
                "a request failed", extra={"method": request.method, "path": _logged_path(request)}
            )
            why = "the request could not be handled, the daemon's log says why"
            return self._failure(request, errors.internal_error(why), warnings)

    def end_streams(self) -> None:
        """Watches, logs, execs: nothing that would end by itself."""
        for task in self._streaming:
            task.cancel()

    async def _resource(
        self, request: web.BaseRequest, info: RequestInfo, user: User, warnings: list[str]
    ) -> web.StreamResponse:
        resource = scheme.by_path(info.group, info.version, info.plural)
        if resource is None or not self._registry.serves(resource):
            raise errors.no_such_resource()
        if info.namespace and not resource.namespaced:
            raise errors.no_such_resource()
        call = Call(
            request=request,
            info=info,
            user=user,
            registry=self._registry,
            nodes=self._nodes,
            resource=resource,
            is_closing=self._is_closing,
            warnings=warnings,
        )
        if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        answer = self._find(call)
        if info.verb != "watch" and info.subresource not in _STREAMING:
            return await answer(call)
        task = asyncio.current_task()
        assert task is not None
        self._streaming.add(task)
        try:
            return await answer(call)
        finally:
            self._streaming.discard(task)

    def _find(self, call: Call) -> Answer:
        """Raises StatusError 404 and 405."""
        info, resource = call.info, call.resource
        if info.subresource:
            if (resource.group_resource, info.subresource) == ("nodes", "proxy"):
                return node_proxy.proxy
            answers = _SUBRESOURCES.get((resource.group_resource, info.subresource))
            if answers is None and info.subresource == "status" and resource.has_status:
                answers = _PART
            if answers is None or (info.rest and info.subresource != "proxy"):
                raise errors.no_such_resource()
        elif info.verb not in resource.verbs or (info.name and info.method == "POST"):
            raise errors.method_not_allowed(resource, info.verb)
        else:
            answers = self._verbs
        if resource.namespaced and not info.namespace and (info.name or info.method == "POST"):
            raise errors.bad_request(f"{resource.plural} are namespaced: the path must name a namespace")
        answer = answers.get(info.verb)
        if answer is None:
            raise errors.method_not_allowed(f"{resource.plural}/{info.subresource}", info.verb)
        return answer

    async def _list(self, call: Call) -> web.StreamResponse:
        return await objects.list_(call, self._pager)

    async def _other(self, request: web.BaseRequest, info: RequestInfo) -> web.StreamResponse:
        """What is no resource: discovery, versions, health."""
        if info.method not in ("GET", "HEAD"):
            raise errors.no_such_resource()
        path = info.path.rstrip("/")
        if path in _HEALTH:
            return self._health(path)
        document = self._document(path)
        if document is None:
            raise errors.no_such_resource()
        return await responses.send_object(request, document)

    def _document(self, path: str) -> Any:
        resources = self._registry.resources
        versions = list(dict.fromkeys(resource.api_version for resource in resources))
        match path.split("/")[1:]:
            case []:
                return {"paths": ["/api", "/api/v1", "/apis", *_HEALTH, "/openapi/v3", "/version"]}
            case ["api"]:
                return discovery.api_versions()
            case ["apis"]:
                return discovery.group_list(resources)
            case ["apis", name] if any(resource.group == name for resource in resources):
                groups = discovery.group_list(r for r in resources if r.group == name)["groups"]
                return {"kind": "APIGroup", "apiVersion": "v1", **groups[0]}
            case ["version"]:
                return version()
            case ["openapi", "v3"]:
                return openapi.index(versions)
        found = next((v for v in versions if path in (f"/{openapi.prefix(v)}", _openapi_path(v))), None)
        if found is None:
            return None
        served = [resource for resource in resources if resource.api_version == found]
        if path == _openapi_path(found):
            return openapi.document(served)
        return discovery.resource_list(found, served)

    def _health(self, path: str) -> web.Response:
        if path == "/readyz" and not self._is_ready():
            return web.Response(status=500, text="the daemon is still starting\n")
        return web.Response(text="ok")

    def _failure(self, request: web.BaseRequest, error: StatusError, warnings: list[str]) -> web.Response:
        if request.writer.output_size > 0:
            # An answer has begun: it cannot become another one, but it can be seen to be broken.
            log.warning("an answer broke off: %s", error, extra={"path": _logged_path(request)})
            if request.transport:
                request.transport.abort()
            raise ConnectionResetError("the answer had begun")
        return responses.failure(error, warnings)


def _logged_path(request: web.BaseRequest) -> str:
    """Without the query: the command of an exec may hold a secret."""
    return request.raw_path.partition("?")[0]


def _openapi_path(api_version: str) -> str:
    return f"/openapi/v3/{openapi.prefix(api_version)}"
