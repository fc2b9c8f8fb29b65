"""The subresources that write a part of a pod's spec: ephemeralcontainers and resize."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from minipod.api.errors import StatusError
from minipod.client.http import JSON_PATCH, STRATEGIC_MERGE_PATCH, ApiClient, resource_path
from tests.unit.apiserver.serving import ServerThread

PODS = resource_path("pods", "default")
WEB = f"{PODS}/web"
DEBUG = {"name": "debug", "image": "minipod/base", "stdin": True, "targetContainerName": "app"}
ASKED = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}}


@pytest.fixture
def api(shared_server: ServerThread) -> Iterator[ApiClient]:
    with shared_server.client() as client:
        for item in client.get(PODS)["items"]:
            client.delete(f"{PODS}/{item['metadata']['name']}", {"gracePeriodSeconds": 0})
        client.create(PODS, web())
        yield client


def web(**spec: Any) -> dict[str, Any]:
    container = {"name": "app", "image": "minipod/base", "resources": ASKED}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "labels": {"a": "b"}},
        "spec": {"containers": [container, {"name": "other", "image": "minipod/base"}], **spec},
    }


def causes(error: StatusError) -> list[str]:
    assert error.details is not None
    return [f"{cause.field}: {cause.message}" for cause in error.details.causes]


def patch(api: ApiClient, subresource: str, spec: Any) -> Any:
    return api.patch(f"{WEB}/{subresource}", {"spec": spec}, content_type=STRATEGIC_MERGE_PATCH)


def refusal(api: ApiClient, subresource: str, spec: Any) -> list[str]:
    with pytest.raises(StatusError) as refused:
        patch(api, subresource, spec)
    assert refused.value.code == 422
    return causes(refused.value)


def resources(**fields: Any) -> Any:
    return {"containers": [{"name": "app", "resources": fields}]}


def test_both_are_discovered(api: ApiClient) -> None:
    found = {one["name"]: one for one in api.get("/api/v1")["resources"]}
    for name in ("pods/ephemeralcontainers", "pods/resize"):
        assert (found[name]["kind"], found[name]["verbs"]) == ("Pod", ["get", "patch", "update"])
        assert api.get(f"{WEB}/{name.partition('/')[2]}")["metadata"]["name"] == "web"


def test_an_ephemeral_container_is_added_and_nothing_else(api: ApiClient) -> None:
    changed = patch(
        api,
        "ephemeralcontainers",
        {"ephemeralContainers": [DEBUG], "activeDeadlineSeconds": 1, "hostname": "x"},
    )
    added = changed["spec"]["ephemeralContainers"]
    assert [c["name"] for c in added] == ["debug"]
    assert added[0]["terminationMessagePath"] == "/dev/termination-log"
    assert not changed["spec"].keys() & {"activeDeadlineSeconds", "hostname"}
    assert changed["metadata"]["generation"] == 2
    again = patch(api, "ephemeralcontainers", {"ephemeralContainers": [{**DEBUG, "name": "more"}]})
    assert [c["name"] for c in again["spec"]["ephemeralContainers"]] == ["debug", "more"]
    assert again["metadata"]["labels"] == {"a": "b"}


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        (
            {"op": "remove", "path": "/spec/ephemeralContainers/0"},
            'spec.ephemeralContainers: Forbidden: existing ephemeral containers "debug" may not be removed',
        ),
        (
            {"op": "replace", "path": "/spec/ephemeralContainers/0/image", "value": "x"},
            'spec.ephemeralContainers: Forbidden: existing ephemeral containers "debug" may not be changed',
        ),
        (
            {"op": "add", "path": "/spec/ephemeralContainers/1", "value": {**DEBUG, "name": "app"}},
            'spec.ephemeralContainers[1].name: Duplicate value: "app"',
        ),
        (
            {
                "op": "add",
                "path": "/spec/ephemeralContainers/1",
                "value": {**DEBUG, "name": "d", "targetContainerName": "nobody"},
            },
            'spec.ephemeralContainers[1].targetContainerName: Not found: "nobody"',
        ),
    ],
)
def test_an_ephemeral_container_stays_as_it_is(api: ApiClient, operation: Any, said: str) -> None:
    patch(api, "ephemeralcontainers", {"ephemeralContainers": [DEBUG]})
    with pytest.raises(StatusError) as refused:
        api.patch(f"{WEB}/ephemeralcontainers", [operation], content_type=JSON_PATCH)
    assert causes(refused.value) == [said]


def test_a_pod_with_an_ephemeral_container_can_still_change(api: ApiClient) -> None:
    patch(api, "ephemeralcontainers", {"ephemeralContainers": [DEBUG]})
    assert api.patch(WEB, {"metadata": {"labels": {"c": "d"}}})["metadata"]["labels"] == {"a": "b", "c": "d"}
    assert patch(api, "resize", resources(limits={"cpu": "300m"}))["metadata"]["generation"] == 3


def test_one_mistake_in_an_update_is_told_once(api: ApiClient) -> None:
    with pytest.raises(StatusError) as refused:
        api.patch(WEB, {"metadata": {"annotations": {"minipod.io/probe-period-ms": "x"}}})
    assert len(causes(refused.value)) == 1


def test_a_plain_update_adds_no_ephemeral_container(api: ApiClient) -> None:
    with pytest.raises(StatusError) as refused:
        api.patch(WEB, {"spec": {"ephemeralContainers": [DEBUG]}})
    assert "pod updates may not change fields other than" in refused.value.message


def test_a_resize_changes_resources_and_nothing_else(api: ApiClient) -> None:
    wanted = {
        "containers": [{"name": "app", "image": "other", "resources": {"limits": {"cpu": "300m"}}}],
        "activeDeadlineSeconds": 7,
    }
    changed = patch(api, "resize", wanted)
    app = changed["spec"]["containers"][0]
    assert app["resources"]["limits"] == {"cpu": "300m", "memory": "64Mi"}
    assert (app["image"], changed["spec"].get("activeDeadlineSeconds")) == ("minipod/base", None)
    assert changed["metadata"]["generation"] == 2
    body = api.get(f"{WEB}/resize")
    body["spec"]["containers"][0]["resources"]["requests"]["memory"] = "32Mi"
    replaced = api.replace(f"{WEB}/resize", body)
    assert replaced["spec"]["containers"][0]["resources"]["requests"]["memory"] == "32Mi"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            resources(limits={"cpu": None}),
            "spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed",
        ),
        (
            resources(requests={"$patch": "delete"}, limits={"cpu": None, "memory": None}),
            "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed",
        ),
        (
            resources(limits={"ephemeral-storage": "1Gi"}),
            "spec: Forbidden: only cpu and memory resources are mutable: spec.containers[0] changes more",
        ),
        (
            resources(requests={"cpu": "300m"}),
            'spec.containers[0].resources.requests: Invalid value: "300m": must be less than or equal to cpu limit of '
            "200m",
        ),
        (
            {"containers": [{"name": "third", "image": "x"}]},
            "spec.containers: Forbidden: containers may not be added or removed on resize",
        ),
        (
            {
                "containers": [
                    {
                        "name": "app",
                        "resizePolicy": [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}],
                    }
                ]
            },
            "spec: Forbidden: only cpu and memory resources are mutable: spec.containers[0] changes more",
        ),
    ],
)
def test_resizes_that_cannot_be(api: ApiClient, spec: Any, said: str) -> None:
    assert said in refusal(api, "resize", spec)


def test_a_resize_keeps_the_qos_class(api: ApiClient) -> None:
    api.delete(WEB, {"gracePeriodSeconds": 0})
    api.create(PODS, {**web(), "spec": {"containers": [{"name": "app", "image": "minipod/base"}]}})
    said = refusal(api, "resize", resources(requests={"cpu": "1"}))
    assert said == [
        'spec: Invalid value: "BestEffort": Pod QOS Class may not change as a result of resizing'
    ]


def test_containers_are_neither_renamed_nor_turned_round(api: ApiClient) -> None:
    body = api.get(f"{WEB}/resize")
    body["spec"]["containers"].reverse()
    with pytest.raises(StatusError) as refused:
        api.replace(f"{WEB}/resize", body)
    assert causes(refused.value) == [
        f"spec.containers[{index}].name: Forbidden: containers may not be renamed or reordered on resize"
        for index in (0, 1)
    ]


def test_a_subresource_there_is_not(api: ApiClient) -> None:
    for path in (f"{WEB}/eviction", f"{WEB}/resize/more"):
        with pytest.raises(StatusError) as refused:
            api.get(path)
        assert refused.value.code == 404
