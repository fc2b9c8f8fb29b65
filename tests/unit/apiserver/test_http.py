"""The verbs over HTTP, with the real client on a real socket."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from minipod.api.errors import StatusError
from minipod.client.http import JSON_PATCH, STRATEGIC_MERGE_PATCH, ApiClient, resource_path
from tests.unit.apiserver.serving import ServerThread

PODS = resource_path("pods", "default")


def manifest(name: str = "web", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, **metadata},
        "spec": {"containers": [{"name": "app", "image": "minipod/base"}]},
    }


def refused(action: Any, code: int, message: str, reason: str = "") -> StatusError:
    with pytest.raises(StatusError) as error:
        action()
    assert error.value.code == code
    assert message in error.value.message
    assert not reason or error.value.reason == reason
    return error.value


def test_a_pods_life(api: ApiClient) -> None:
    created = api.create(PODS, manifest())
    assert created["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    path = f"{PODS}/web"
    assert api.get(path) == created
    listed = api.get(PODS)
    assert (listed["kind"], listed["apiVersion"], listed["items"]) == ("PodList", "v1", [created])
    changed = api.patch(path, {"metadata": {"labels": {"a": "b"}}})
    assert changed["metadata"]["labels"] == {"a": "b"}
    changed["metadata"]["labels"] = {"c": "d"}
    assert api.replace(path, changed)["metadata"]["labels"] == {"c": "d"}
    assert refused(lambda: api.replace(path, changed), 409, "object has been modified").reason == "Conflict"
    status = api.replace(f"{path}/status", {**api.get(path), "status": {"phase": "Running"}})
    assert status["status"] == {"phase": "Running", "qosClass": "BestEffort"}
    assert api.delete(path)["metadata"]["name"] == "web"
    gone = refused(lambda: api.get(path), 404, 'pods "web" not found', "NotFound")
    assert gone.details is not None
    assert (gone.details.name, gone.details.kind) == ("web", "pods")


def test_deletion_is_graceful_on_a_node(api: ApiClient) -> None:
    api.create(PODS, {**manifest(), "spec": {**manifest()["spec"], "nodeName": "here"}})
    marked = api.delete(f"{PODS}/web", {"gracePeriodSeconds": 7})
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 7
    assert api.delete(f"{PODS}/web", query={"gracePeriodSeconds": 0})["kind"] == "Pod"
    refused(lambda: api.get(f"{PODS}/web"), 404, "not found")


def test_what_is_gone_is_answered_with_a_status(api: ApiClient) -> None:
    api.create("/api/v1/nodes", {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n"}})
    answer = api.delete("/api/v1/nodes/n")
    assert (answer["kind"], answer["status"], answer["details"]["name"]) == ("Status", "Success", "n")


def test_a_collection_is_deleted_by_selector(api: ApiClient) -> None:
    for name in ("a", "b", "c"):
        api.create(PODS, manifest(name, labels={"keep": str(name == "b").lower()}))
    deleted = api.delete(PODS, query={"labelSelector": "keep=false"})
    assert [item["metadata"]["name"] for item in deleted["items"]] == ["a", "c"]
    assert [item["metadata"]["name"] for item in api.get(PODS)["items"]] == ["b"]


def test_pods_are_bound(api: ApiClient) -> None:
    api.create(PODS, manifest())
    binding = {"apiVersion": "v1", "kind": "Binding", "target": {"kind": "Node", "name": "here"}}
    assert api.create(f"{PODS}/web/binding", binding)["status"] == "Success"
    assert api.get(f"{PODS}/web")["spec"]["nodeName"] == "here"
    refused(lambda: api.create(f"{PODS}/web/binding", binding), 409, "already assigned")


def test_lists_are_selected_and_paged(api: ApiClient) -> None:
    for number in range(7):
        api.create(PODS, manifest(f"p{number}", labels={"odd": str(number % 2)}))
    odd = api.get(PODS, {"labelSelector": "odd=1", "fieldSelector": "status.phase=Pending"})
    assert [item["metadata"]["name"] for item in odd["items"]] == ["p1", "p3", "p5"]
    page = api.get(PODS, {"limit": 3})
    version = page["metadata"]["resourceVersion"]
    assert page["metadata"]["remainingItemCount"] == 4
    api.delete(f"{PODS}/p4")
    names = [item["metadata"]["name"] for item in page["items"]]
    while token := page["metadata"].get("continue"):
        page = api.get(PODS, {"limit": 3, "continue": token})
        names += [item["metadata"]["name"] for item in page["items"]]
        assert page["metadata"]["resourceVersion"] == version
    assert names == [f"p{number}" for number in range(7)]
    refused(lambda: api.get(PODS, {"continue": "nonsense"}), 400, "continue key is not valid")
    old = "Wzk5OSwgM10="
    refused(lambda: api.get(PODS, {"continue": old}), 410, "too old", "Expired")


def test_json_patch(api: ApiClient) -> None:
    api.create(PODS, manifest(labels={"a": "b"}))
    patch = [
        {"op": "test", "path": "/metadata/labels/a", "value": "b"},
        {"op": "add", "path": "/metadata/labels/x~1y", "value": "z"},
        {"op": "remove", "path": "/metadata/labels/a"},
    ]
    changed = api.patch(f"{PODS}/web", patch, content_type=JSON_PATCH)
    assert changed["metadata"]["labels"] == {"x/y": "z"}
    refused(lambda: api.patch(f"{PODS}/web", patch, content_type=JSON_PATCH), 422, "does not exist")


def test_patches_there_are_not_are_named(api: ApiClient) -> None:
    api.create(PODS, manifest())
    kind = "application/apply-patch+yaml"
    error = refused(lambda: api.patch(f"{PODS}/web", {}, content_type=kind), 415, "merge-patch+json")
    assert f"{kind} is not supported" in error.message


def test_a_strategic_merge_patch(api: ApiClient) -> None:
    api.create(PODS, manifest())
    change = {"spec": {"containers": [{"name": "app", "image": "other"}]}}
    patched = api.patch(f"{PODS}/web", change, content_type=STRATEGIC_MERGE_PATCH)
    assert [(c["name"], c["image"]) for c in patched["spec"]["containers"]] == [("app", "other")]
    nameless = {"spec": {"containers": [{"image": "other"}]}}
    refused(
        lambda: api.patch(f"{PODS}/web", nameless, content_type=STRATEGIC_MERGE_PATCH), 400, "merge key name"
    )


def test_dry_run(api: ApiClient) -> None:
    assert api.create(PODS, manifest(), {"dryRun": "All"})["spec"]["restartPolicy"] == "Always"
    assert api.get(PODS)["items"] == []
    refused(lambda: api.create(PODS, manifest(), {"dryRun": "Some"}), 400, "dryRun")
    api.create(PODS, manifest())
    api.delete(f"{PODS}/web", {"dryRun": ["All"]})
    assert api.get(f"{PODS}/web")


BAD = {**manifest(), "spec": {"containers": [{"name": "app", "image": "i", "imagee": "x"}]}}


class TestFieldValidation:
    def test_strict_refuses(self, api: ApiClient) -> None:
        error = refused(lambda: api.create(PODS, BAD, {"fieldValidation": "Strict"}), 400, "")
        assert error.message == (
            'Pod in version "v1" cannot be handled as a Pod: strict decoding error: '
            "spec.containers[0].imagee: unknown field, did you mean image?"
        )

    def test_warn_is_the_default(self, server: ServerThread) -> None:
        warnings: list[str] = []
        with server.client(warnings) as api:
            api.create(PODS, BAD)
        assert warnings == ["spec.containers[0].imagee: unknown field, did you mean image?"]

    def test_ignore_says_nothing(self, server: ServerThread) -> None:
        warnings: list[str] = []
        with server.client(warnings) as api:
            created = api.create(PODS, BAD, {"fieldValidation": "Ignore"})
        assert warnings == []
        assert "imagee" not in created["spec"]["containers"][0]

    def test_duplicates_are_found(self, api: ApiClient) -> None:
        text = json.dumps(manifest()).replace('"name": "web"', '"name": "web", "name": "wob"').encode()
        query = {"fieldValidation": "Strict"}
        refused(lambda: api.request("POST", PODS, query=query, body=text), 400, "metadata.name: duplicate")

    def test_patches_are_checked_too(self, api: ApiClient) -> None:
        api.create(PODS, manifest())
        patch = {"spec": {"hostnam": "x"}}
        refused(
            lambda: api.patch(f"{PODS}/web", patch, {"fieldValidation": "Strict"}),
            400,
            "spec.hostnam: unknown",
        )

    def test_other_values_are_refused(self, api: ApiClient) -> None:
        refused(lambda: api.create(PODS, manifest(), {"fieldValidation": "Some"}), 422, "fieldValidation")


def test_an_answer_with_many_warnings_can_be_read(server: ServerThread) -> None:
    """http.client gives up on more than 100 headers and on one of more than 64 KiB."""
    warnings: list[str] = []
    pod = manifest()
    pod["spec"]["long" * 20_000] = 1
    pod["spec"].update({f"unknown{number}": 1 for number in range(200)})
    with server.client(warnings) as api:
        api.create(PODS, pod)
    assert len(warnings) == 64
    assert warnings[0] == f"spec.{'long' * 20_000}"[:1024]
    assert warnings[1] == "spec.unknown0: unknown field"
    assert warnings[-1] == "138 more warnings"


def test_fields_without_effect_are_warned_of(server: ServerThread) -> None:
    warnings: list[str] = []
    pod = manifest()
    pod["spec"]["priorityClassName"] = "high"
    pod["spec"]['quoted "and" \\ ünïcode\r\nX: y'] = 1
    pod["spec"]["containers"][0]["volumeMounts"] = [
        {"name": "v", "mountPath": "/v", "mountPropagation": "HostToContainer"}
    ]
    pod["spec"]["volumes"] = [{"name": "v", "emptyDir": {}}]
    with server.client(warnings) as api:
        api.create(PODS, pod)
    assert any(text.startswith("spec.priorityClassName") for text in warnings)
    assert any(text.startswith('spec.quoted "and" \\ ünïcode X: y: unknown field') for text in warnings)
    assert any(text.startswith("spec.containers[0].volumeMounts[0]") for text in warnings)


def test_yaml_is_taken(api: ApiClient) -> None:
    text = b"kind: Pod\napiVersion: v1\nmetadata: {name: web}\nspec: {containers: [{name: a, image: b}]}\n"
    created = api.request("POST", PODS, body=text, content_type="application/yaml")
    assert created["metadata"]["name"] == "web"
    refused(
        lambda: api.request("POST", PODS, body=b"a: [", content_type="application/yaml"),
        400,
        "cannot read the body",
    )


@pytest.mark.parametrize(
    ("body", "content_type", "code", "message"),
    [
        (b"{", "application/json", 400, "cannot read the body as JSON"),
        (b"", "application/json", 400, "cannot read the body as JSON"),
        (b'{"metadata": {"name": "\xff"}}', "application/json", 400, "cannot read the body as JSON"),
        (
            b'{"spec": {"containers": 3}}',
            "application/json",
            400,
            "spec.containers: expected list, got integer",
        ),
        (
            b'{"kind": "Node", "metadata": {"name": "n"}}',
            "application/json",
            400,
            "does not match the expected",
        ),
        (b'{"apiVersion": "v2"}', "application/json", 400, "API version in the data (v2)"),
        (b"[]", "application/json", 400, "expected object, got list"),
        (b'{"a":' * 100_000, "application/json", 400, "cannot read the body as JSON"),
        (
            b'{"spec":{"x":' * 1000 + b"1" + b"}}" * 1000,
            "application/json",
            400,
            "cannot read the body as JSON",
        ),
        (
            b"k8s\x00",
            "application/vnd.kubernetes.protobuf",
            415,
            "accepted media types include: application/json",
        ),
        (b"x" * (3 * 1024 * 1024 + 1), "application/json", 413, "too large"),
    ],
)
def test_bodies_that_cannot_be(
    shared_server: ServerThread, body: bytes, content_type: str, code: int, message: str
) -> None:
    api = shared_server.client()
    refused(lambda: api.request("POST", PODS, body=body, content_type=content_type), code, message)
    assert api.get(PODS)["items"] == []
    api.close()


@pytest.mark.parametrize(
    ("method", "path", "code", "reason"),
    [
        ("GET", "/api/v1/widgets", 404, "NotFound"),
        ("GET", "/apis/apps/v1/deployments", 404, "NotFound"),
        ("GET", "/api/v1/namespaces/default/nodes", 404, "NotFound"),
        ("GET", "/api/v1/namespaces/default/pods/web/colour", 404, "NotFound"),
        ("GET", "/api/v1/namespaces/default/pods/web/log/more", 404, "NotFound"),
        ("GET", "/nowhere", 404, "NotFound"),
        ("POST", "/version", 404, "NotFound"),
        ("POST", "/api/v1/namespaces/default/pods/web", 405, "MethodNotAllowed"),
        ("PUT", "/api/v1/namespaces/default/pods", 405, "MethodNotAllowed"),
        ("OPTIONS", "/api/v1/namespaces/default/pods", 405, "MethodNotAllowed"),
        ("DELETE", "/api/v1/namespaces/default/pods/web/status", 405, "MethodNotAllowed"),
        ("POST", "/api/v1/pods", 400, "BadRequest"),
        ("GET", "/api/v1/pods?limit=many", 400, "BadRequest"),
        ("GET", "/api/v1/pods?watch=true&timeoutSeconds=soon", 400, "BadRequest"),
        ("GET", "/api/v1/pods?watch=true&allowWatchBookmarks=perhaps", 400, "BadRequest"),
        ("GET", "/api/v1/pods?watch=true&includeObject=half", 400, "BadRequest"),
        ("GET", "/api/v1/pods?labelSelector=a=(", 400, "BadRequest"),
        ("GET", "/api/v1/pods?fieldSelector=spec.colour=x", 400, "BadRequest"),
        ("GET", "/api/v1/pods?resourceVersion=new", 400, "BadRequest"),
        ("GET", "/api/v1/pods?resourceVersion=99999999", 504, "Timeout"),
        ("GET", "/api/v1/pods/%ff", 400, "BadRequest"),
    ],
)
def test_requests_that_cannot_be(
    shared_server: ServerThread, method: str, path: str, code: int, reason: str
) -> None:
    with shared_server.client() as api, pytest.raises(StatusError) as error:
        api.request(method, path)
    assert (error.value.code, error.value.reason) == (code, reason)


def test_the_url_and_the_object_must_agree(api: ApiClient) -> None:
    refused(lambda: api.create(PODS, manifest(namespace="other")), 400, "namespace of the provided object")
    api.create(PODS, manifest())
    refused(lambda: api.replace(f"{PODS}/web", manifest("wob")), 400, "does not match the name on the URL")


def test_accept_is_honoured_or_refused(api: ApiClient) -> None:
    api.create(PODS, manifest())
    path = f"{PODS}/web"
    partial = api.request("GET", path, accept="application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io")
    assert (partial["kind"], set(partial)) == ("PartialObjectMetadata", {"kind", "apiVersion", "metadata"})
    fallback = api.request("GET", path, accept="application/vnd.kubernetes.protobuf,application/json;q=0.5")
    assert fallback["kind"] == "Pod"
    for accept in ("application/vnd.kubernetes.protobuf", "application/json;as=Table;v=v9;g=meta.k8s.io"):
        with pytest.raises(StatusError) as error:
            api.request("GET", path, accept=accept)
        assert error.value.code == 406


def test_large_answers_are_compressed_for_those_who_ask(server: ServerThread, api: ApiClient) -> None:
    for number in range(3):
        api.create(PODS, manifest(f"p{number}", annotations={"big": "x" * 60_000}))
    with server.client() as other:
        connection = other.connect()
        connection.request("GET", PODS, headers={"Accept-Encoding": "gzip, deflate"})
        response = connection.getresponse()
        body = response.read()
        connection.close()
    assert response.headers["Content-Encoding"] == "gzip"
    assert len(body) < 20_000
    assert json.loads(gzip.decompress(body)) == api.get(PODS)


def test_discovery(api: ApiClient) -> None:
    assert api.get("/api")["versions"] == ["v1"]
    assert api.get("/apis")["groups"] == []
    resources = {entry["name"]: entry for entry in api.get("/api/v1")["resources"]}
    assert resources["pods"]["shortNames"] == ["po"]
    assert {"pods/log", "pods/exec", "pods/status", "nodes/proxy", "namespaces/status"} < set(resources)
    assert api.get("/version")["gitVersion"].startswith("v1.")
    assert api.get("/healthz") == "ok"


def test_readiness_is_what_the_daemon_says(server: ServerThread, api: ApiClient) -> None:
    assert api.get("/readyz") == "ok"
    server.server.ready = False
    with pytest.raises(StatusError) as error:
        api.get("/readyz")
    assert error.value.code == 500


def test_two_updaters_at_once_conflict_and_retry(server: ServerThread) -> None:
    with server.client() as api:
        api.create(PODS, manifest(annotations={"count": "0"}))
    conflicts = []

    def count_up() -> None:
        with server.client() as api:
            for _ in range(10):
                while True:
                    pod = api.get(f"{PODS}/web")
                    annotations = pod["metadata"]["annotations"]
                    annotations["count"] = str(int(annotations["count"]) + 1)
                    try:
                        api.replace(f"{PODS}/web", pod)
                        break
                    except StatusError as error:
                        conflicts.append(error.code)

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with server.client() as api:
        assert api.get(f"{PODS}/web")["metadata"]["annotations"]["count"] == "40"
    assert set(conflicts) == {409}


def test_a_failure_inside_tells_the_client_nothing_of_it(
    server: ServerThread, api: ApiClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(server.registry, "get", fail)
    error = refused(lambda: api.get(f"{PODS}/web"), 500, "Internal error occurred", "InternalError")
    assert "secret" not in error.message
    assert "a secret of the inside" in caplog.text
    monkeypatch.undo()
    assert api.get(PODS)["items"] == []


def test_a_full_disk_is_said_and_survived(server: ServerThread, api: ApiClient) -> None:
    connection = server.store._database._connection
    assert connection is not None
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    big = manifest(annotations={"big": "x" * 200_000})
    refused(lambda: api.create(PODS, big), 507, "database or disk is full", "InsufficientStorage")
    assert api.get(PODS)["items"] == []
    connection.execute("PRAGMA max_page_count = 100000")
    assert api.create(PODS, big)


def test_the_socket_is_for_root_and_goes_with_the_server(server: ServerThread) -> None:
    assert server.socket.stat().st_mode & 0o777 == 0o600
    server.stop()
    assert not server.socket.exists()


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "minipod.sock"))
    stale.close()
    with ServerThread(tmp_path) as server:
        with server.client() as api:
            assert api.get("/healthz") == "ok"
        other = tmp_path / "other"
        other.mkdir()
        second = ServerThread(other)
        second.socket = server.socket
        with pytest.raises(OSError, match="another daemon listens here"), second:
            pass
        with server.client() as api:
            assert api.get("/healthz") == "ok"


def test_garbage_on_the_wire_ends_that_connection_only(server: ServerThread, api: ApiClient) -> None:
    for garbage in (b"\x00\xff\x13garbage\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.settimeout(10)
            raw.connect(str(server.socket))
            raw.sendall(garbage)
            answer = raw.recv(4096)
            assert b"Traceback" not in answer
    assert api.get("/healthz") == "ok"


@pytest.mark.parametrize("image", ["x:1", "x"])
@pytest.mark.parametrize("policy", ["Always", None])
def test_a_pull_policy_that_was_written_is_warned_of_and_one_by_default_is_not(
    server: ServerThread, image: str, policy: str | None
) -> None:
    warnings: list[str] = []
    pod = manifest()
    pod["spec"]["containers"][0].update({"image": image, **({"imagePullPolicy": policy} if policy else {})})
    with server.client(warnings) as api:
        api.create(PODS, pod)
        said = [w for w in warnings if "imagePullPolicy" in w]
        api.patch(f"{PODS}/web", {"metadata": {"labels": {"a": "b"}}})
    assert len(said) == (1 if policy else 0)
    assert all(w.startswith("spec.containers[0].imagePullPolicy: Always: ") for w in said)
    assert [w for w in warnings if "imagePullPolicy" in w] == said
