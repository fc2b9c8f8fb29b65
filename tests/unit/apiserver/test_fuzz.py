"""Whatever a client sends, it gets an answer with a reason, and the server goes on."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.apiserver.serving import ServerThread
from tests.unit.apiserver.test_http import manifest

WORDS = (
    "metadata",
    "spec",
    "name",
    "labels",
    "containers",
    "image",
    "ports",
    "env",
    "limits",
    "cpu",
    "op",
    "path",
)
PARTS = (
    "api",
    "apis",
    "v1",
    "namespaces",
    "default",
    "pods",
    "nodes",
    "web",
    "log",
    "exec",
    "status",
    "%2F",
    "%ff",
)
PARAMETERS = (
    "watch",
    "limit",
    "continue",
    "labelSelector",
    "fieldSelector",
    "resourceVersion",
    "dryRun",
    "tailLines",
)

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=10,
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A pod with something odd in it, something odd altogether, or no JSON at all."""
    pod: Any = manifest()
    kind = draw(st.integers(0, 3))
    if kind == 0:
        pod["spec"][draw(st.sampled_from(WORDS))] = draw(values)
    elif kind == 1:
        pod["spec"]["containers"][0][draw(st.sampled_from(WORDS))] = draw(values)
    elif kind == 2:
        pod = draw(values)
    else:
        return draw(st.binary(max_size=30))
    return json.dumps(pod).encode()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]),
    path=st.just("api/v1/namespaces/default/pods")
    | st.just("api/v1/namespaces/default/pods/web")
    | st.lists(st.sampled_from(PARTS), max_size=7).map("/".join),
    query=st.lists(
        st.tuples(st.sampled_from(PARAMETERS), st.sampled_from(["", "1", "-1", "x", "a=(", "%ff"])),
        max_size=2,
    ),
    content_type=st.sampled_from(
        [
            "application/json",
            "application/merge-patch+json",
            "application/json-patch+json",
            "application/yaml",
            "x",
        ]
    ),
    body=bodies(),
)
def test_every_request_is_answered(
    shared_server: ServerThread,
    method: str,
    path: str,
    query: list[tuple[str, str]],
    content_type: str,
    body: bytes,
) -> None:
    target = f"/{path}?" + "&".join(f"{name}={value}" for name, value in query)
    with shared_server.client() as api:
        connection = api.connect()
        try:
            connection.request(
                method, target, body if method != "GET" else None, {"Content-Type": content_type}
            )
            status = connection.getresponse().status
        finally:
            connection.close()
    assert status in (200, 201, 400, 403, 404, 405, 406, 409, 410, 413, 415, 422)
