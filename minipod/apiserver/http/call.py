"""One request on its way through the server, with all that answering it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from minipod.api import errors
from minipod.api.scheme import Resource
from minipod.apiserver.http.request_info import RequestInfo
from minipod.apiserver.registry.options import Selection, WriteOptions, selection
from minipod.apiserver.registry.registry import Registry
from minipod.apiserver.users import User
from minipod.client.node import NodeConnection


@dataclass(slots=True, kw_only=True)
class Call:
    """`resource` is what the path names; `warnings` go out with the answer, whatever it is."""

    request: web.BaseRequest
    info: RequestInfo
    user: User
    registry: Registry
    nodes: Mapping[str, NodeConnection]
    resource: Resource
    is_closing: Callable[[], bool]
    """Whether the server is shutting down: a stream that is cancelled then ends as if it had come to its end."""
    warnings: list[str] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        return self.info.namespace if self.resource.namespaced else ""

    def selection(self) -> Selection:
        """What the query selects. Raises StatusError 400."""
        info = self.info
        return selection(self.resource, self.namespace, info.one("labelSelector"), info.one("fieldSelector"))

    def write_options(self) -> WriteOptions:
        return WriteOptions(dry_run=is_dry_run(self.info.query.get("dryRun", ())), warnings=self.warnings)

    def node(self, name: str) -> NodeConnection:
        """The connection to a node. Raises StatusError 503 when there is none."""
        connection = self.nodes.get(name)
        if connection is None:
            raise errors.service_unavailable(f'the node "{name}" is not connected')
        return connection


def is_dry_run(values: object) -> bool:
    """dryRun may only be All. Raises StatusError 400."""
    texts = [str(value) for value in values if value] if isinstance(values, list | tuple) else []
    if texts and texts != ["All"]:
        raise errors.bad_request(f'dryRun: Unsupported value: "{texts[0]}": supported values: "All"')
    return bool(texts)
