"""nodes/NAME/proxy/PATH: the node's own pages, passed through."""

from __future__ import annotations

from aiohttp import web

from minipod.api.scheme import NODES
from minipod.apiserver.http import responses
from minipod.apiserver.http.call import Call
from minipod.client.node import ProxyRequest

_CHUNK = 1 << 18


async def proxy(call: Call) -> web.StreamResponse:
    """Any method; the body streams to the node however large it is (images)."""
    info = call.info
    call.registry.get(NODES, info.name)
    request = ProxyRequest(
        method=info.method,
        path=f"/{info.rest}",
        query={name: values[0] for name, values in info.query.items()},
        body=call.request.content.iter_chunked(_CHUNK) if call.request.can_read_body else None,
    )
    answer = await call.node(info.name).proxy(request)
    return await responses.send(
        call.request, answer.body, status=answer.status, content_type=answer.content_type
    )
