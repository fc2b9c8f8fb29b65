"""Reading requests: paths into verbs and resources, Accept headers into forms."""

from __future__ import annotations

import pytest

from minipod.api.errors import StatusError
from minipod.apiserver.http.negotiation import Form, accepts_gzip, choose_form
from minipod.apiserver.http.request_info import parse


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/api/v1/namespaces/d/pods", ("list", "", "v1", "d", "pods", "", "", "")),
        ("GET", "/api/v1/namespaces/d/pods?watch=true", ("watch", "", "v1", "d", "pods", "", "", "")),
        ("GET", "/api/v1/pods?watch=1", ("watch", "", "v1", "", "pods", "", "", "")),
        ("GET", "/api/v1/pods?watch=0", ("list", "", "v1", "", "pods", "", "", "")),
        ("GET", "/api/v1/namespaces/d/pods/p", ("get", "", "v1", "d", "pods", "p", "", "")),
        ("HEAD", "/api/v1/namespaces/d/pods/p", ("get", "", "v1", "d", "pods", "p", "", "")),
        ("GET", "/api/v1/namespaces/d/pods/p/log", ("get", "", "v1", "d", "pods", "p", "log", "")),
        ("POST", "/api/v1/namespaces/d/pods", ("create", "", "v1", "d", "pods", "", "", "")),
        ("PUT", "/api/v1/namespaces/d/pods/p/status", ("update", "", "v1", "d", "pods", "p", "status", "")),
        (
            "PATCH",
            "/apis/apps/v1/namespaces/d/deployments/x",
            ("patch", "apps", "v1", "d", "deployments", "x", "", ""),
        ),
        ("DELETE", "/api/v1/namespaces/d/pods", ("deletecollection", "", "v1", "d", "pods", "", "", "")),
        ("GET", "/api/v1/namespaces", ("list", "", "v1", "", "namespaces", "", "", "")),
        ("DELETE", "/api/v1/namespaces/d", ("delete", "", "v1", "", "namespaces", "d", "", "")),
        (
            "PUT",
            "/api/v1/namespaces/d/finalize",
            ("update", "", "v1", "", "namespaces", "d", "finalize", ""),
        ),
        ("GET", "/api/v1/nodes/n/proxy/a/b%2Fc?x=y", ("get", "", "v1", "", "nodes", "n", "proxy", "a/b/c")),
        ("GET", "/api/v1/namespaces/d/pods/a%2Fb", ("get", "", "v1", "d", "pods", "a/b", "", "")),
        ("GET", "//api//v1/pods/", ("list", "", "v1", "", "pods", "", "", "")),
        ("GET", "/api/v1", ("", "", "", "", "", "", "", "")),
        ("GET", "/apis/apps/v1", ("", "", "", "", "", "", "", "")),
        ("GET", "/healthz", ("", "", "", "", "", "", "", "")),
        ("GET", "/", ("", "", "", "", "", "", "", "")),
    ],
)
def test_paths(method: str, target: str, expected: tuple[str, ...]) -> None:
    info = parse(method, target)
    found = (
        info.verb,
        info.group,
        info.version,
        info.namespace,
        info.plural,
        info.name,
        info.subresource,
        info.rest,
    )
    assert found == expected


def test_queries() -> None:
    info = parse("GET", "/x?a=1&a=2&flag=true&off=false&n=-5&empty=&sp=a%20b+c")
    assert info.query["a"] == ["1", "2"]
    assert (info.one("a"), info.one("sp"), info.one("none", "z")) == ("1", "a b c", "z")
    assert (info.flag("flag"), info.flag("off"), info.flag("empty"), info.flag("none")) == (
        True,
        False,
        False,
        False,
    )
    assert (info.number("n"), info.number("empty"), info.number("none")) == (-5, None, None)
    for text in ("x", "1.5", "9" * 19, "9" * 5000, "١"):
        with pytest.raises(StatusError) as refused:
            parse("GET", f"/x?n={text}").number("n")
        assert refused.value.code == 400
    with pytest.raises(StatusError):
        parse("GET", "/x?flag=yes").flag("flag")
    with pytest.raises(StatusError):
        parse("GET", "/x?a=%ff")


TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Form.OBJECT),
        ("*/*", Form.OBJECT),
        ("application/json", Form.OBJECT),
        ("application/json, */*", Form.OBJECT),
        (TABLE, Form.TABLE),
        (f"{TABLE},application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", Form.TABLE),
        ("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", Form.OBJECT),
        (f"application/json;q=0.5,{TABLE};q=0.9", Form.TABLE),
        ("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json", Form.METADATA),
        ("application/vnd.kubernetes.protobuf,application/json", Form.OBJECT),
        ("text/html,application/xhtml+xml,*/*;q=0.8", Form.OBJECT),
    ],
)
def test_accept(accept: str, form: Form) -> None:
    assert choose_form(accept) is form


@pytest.mark.parametrize(
    "accept", ["text/html", "application/vnd.kubernetes.protobuf", "application/json;as=Chair"]
)
def test_accept_of_what_there_is_not(accept: str) -> None:
    with pytest.raises(StatusError) as refused:
        choose_form(accept)
    assert refused.value.code == 406


def test_gzip() -> None:
    assert accepts_gzip("gzip")
    assert accepts_gzip("deflate, GZIP;q=0.5")
    assert not accepts_gzip("gzip;q=0")
    assert not accepts_gzip("")
