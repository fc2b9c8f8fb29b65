"""What a container runs, and as whom."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.kubelet.containers.process import (
    CreateContainerConfigError,
    process_args,
    process_user,
    requested_user,
    working_dir,
)
from tests.unit.kubelet.pods import UID, container, one, pod


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "command", "args", "expected"),
    [
        # The table of kubernetes.io "Define a command and arguments for a container".
        (["/ep-1"], ["foo", "bar"], [], [], ["/ep-1", "foo", "bar"]),
        (["/ep-1"], ["foo", "bar"], ["/ep-2"], [], ["/ep-2"]),
        (["/ep-1"], ["foo", "bar"], [], ["zoo", "boo"], ["/ep-1", "zoo", "boo"]),
        (["/ep-1"], ["foo", "bar"], ["/ep-2"], ["zoo", "boo"], ["/ep-2", "zoo", "boo"]),
        ([], ["sh"], [], [], ["sh"]),
        ([], ["sh"], [], ["ls", "-l"], ["ls", "-l"]),
    ],
)
def test_command_and_args_override_entrypoint_and_cmd(
    entrypoint: list[str], cmd: list[str], command: list[str], args: list[str], expected: list[str]
) -> None:
    found = process_args(one(command=command, args=args), {"Entrypoint": entrypoint, "Cmd": cmd}, {})
    assert found == expected


def test_references_in_command_and_args_are_expanded_but_not_the_images() -> None:
    found = process_args(one(command=["$(A)", "$(A) $$(A) $(B)"]), {}, {"A": "x"})
    assert found == ["x", "x $(A) $(B)"]
    assert process_args(one(), {"Cmd": ["$(A)"]}, {"A": "x"}) == ["$(A)"]


def test_nothing_to_run_is_an_error_that_names_the_image() -> None:
    with pytest.raises(CreateContainerConfigError, match=r"no command specified.*minipod/base") as caught:
        process_args(one(), {}, {})
    assert caught.value.reason == "CreateContainerError"


@pytest.mark.parametrize(
    ("own", "image", "expected"),
    [("/a", "/b", "/a"), (None, "/b", "/b"), (None, "", "/"), (None, "b/c", "/b/c")],
)
def test_working_directory(own: str | None, image: str, expected: str) -> None:
    assert working_dir(one(workingDir=own), {"WorkingDir": image}) == expected


@pytest.mark.parametrize(
    ("own", "shared", "image", "expected"),
    [
        ({}, {}, "", "0"),
        ({}, {}, "app", "app"),
        ({}, {}, "app:staff", "app:staff"),
        ({}, {}, "1000:1000", "1000:1000"),
        ({}, {"runAsUser": 5}, "app:staff", "5"),
        ({"runAsUser": 6}, {"runAsUser": 5}, "app", "6"),
        ({"runAsUser": 6, "runAsGroup": 7}, {"runAsGroup": 8}, "app", "6:7"),
        ({}, {"runAsGroup": 8}, "app:staff", "app:8"),
        ({"runAsUser": 0}, {"runAsUser": 5}, "", "0"),
    ],
)
def test_the_containers_user_goes_before_the_pods_before_the_images(
    own: dict[str, Any], shared: dict[str, Any], image: str, expected: str
) -> None:
    made = pod(container(securityContext=own), securityContext=shared)
    assert requested_user(made, made.spec.containers[0], {"User": image}).user == expected


@pytest.mark.parametrize(
    ("context", "image", "message"),
    [
        ({"runAsNonRoot": True}, "", "container has runAsNonRoot and image will run as root"),
        ({"runAsNonRoot": True}, "0", "container has runAsNonRoot and image will run as root"),
        ({"runAsNonRoot": True}, "0:1", "container has runAsNonRoot and image will run as root"),
        ({"runAsNonRoot": True}, "0" * 5000, "container has runAsNonRoot and image will run as root"),
        (
            {"runAsNonRoot": True},
            "\u0661",
            "container has runAsNonRoot and image has non-numeric user (\u0661), cannot verify user is non-root",
        ),
        (
            {"runAsNonRoot": True},
            "app",
            "container has runAsNonRoot and image has non-numeric user (app), cannot verify user is non-root",
        ),
        ({"runAsNonRoot": True, "runAsUser": 0}, "7", "container's runAsUser breaks non-root policy"),
    ],
)
def test_run_as_non_root_refuses_root_and_what_it_cannot_judge(
    context: dict[str, Any], image: str, message: str
) -> None:
    made = pod(container(securityContext=context))
    with pytest.raises(CreateContainerConfigError) as caught:
        requested_user(made, made.spec.containers[0], {"User": image})
    assert str(caught.value) == f'{message} (pod: "web_default({UID})", container: main)'
    assert caught.value.reason == "CreateContainerConfigError"


@pytest.mark.parametrize(
    ("own", "shared", "image"),
    [
        ({"runAsNonRoot": True}, {}, "1000"),
        ({"runAsNonRoot": True, "runAsUser": 9}, {}, "root"),
        ({"runAsNonRoot": False}, {"runAsNonRoot": True}, ""),
        ({"runAsUser": 3}, {"runAsNonRoot": True}, "root"),
    ],
)
def test_run_as_non_root_lets_others_pass(own: dict[str, Any], shared: dict[str, Any], image: str) -> None:
    made = pod(container(securityContext=own), securityContext=shared)
    requested_user(made, made.spec.containers[0], {"User": image})


@pytest.mark.parametrize("context", [{"runAsUser": 1000}, {}])
def test_run_as_non_root_holds_for_whom_the_image_says_it_is(context: dict[str, Any]) -> None:
    made = pod(securityContext={"runAsNonRoot": True, **context})
    request = requested_user(made, made.spec.containers[0], {"User": "1000"})
    with pytest.raises(CreateContainerConfigError, match="runAsNonRoot and image will run as root"):
        process_user(request, uid=0, gid=0, groups=(), home="/root")
    assert process_user(request, uid=1000, gid=0, groups=(), home="/").uid == 1000


def test_root_may_be_where_nothing_forbids_it() -> None:
    made = pod()
    request = requested_user(made, made.spec.containers[0], {})
    assert process_user(request, uid=0, gid=0, groups=(), home="/root").uid == 0


def test_groups_come_from_the_image_and_the_pod_each_once() -> None:
    made = pod(securityContext={"supplementalGroups": [7, 8], "fsGroup": 9})
    request = requested_user(made, made.spec.containers[0], {})
    user = process_user(request, uid=1, gid=7, groups=(20, 8), home="/h")
    assert user.to_oci() == {"uid": 1, "gid": 7, "additionalGids": [7, 20, 8, 9]}


def test_a_strict_policy_ignores_the_images_groups() -> None:
    made = pod(securityContext={"supplementalGroups": [8], "supplementalGroupsPolicy": "Strict"})
    request = requested_user(made, made.spec.containers[0], {})
    assert process_user(request, uid=1, gid=7, groups=(20,), home="/").groups == (7, 8)
