"""Decisions of single verbs: what a wait waits for, which pod run makes, which logs are asked for, ..."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.api.documents import parse
from minipod.api.errors import StatusError, invalid, not_found
from minipod.api.field_errors import ErrorReason, FieldError
from minipod.cli.apply import last_applied, with_last_applied
from minipod.cli.delete import _grace
from minipod.cli.errors import CommandError, ProcessExitError, server_error
from minipod.cli.events import _types
from minipod.cli.exec import leave_with
from minipod.cli.jsonpath import JSONPathError
from minipod.cli.logs import _query
from minipod.cli.manifest_verbs import places
from minipod.cli.pods import choose_container, container_names
from minipod.cli.run import build_pod
from minipod.cli.top import Usage, measure, table
from minipod.cli.wait import parse_for, why_not
from minipod.client.streaming import StreamExit
from tests.unit.cli.samples import objects

RICH = objects("pod-rich")[0]


@pytest.mark.parametrize(
    ("what", "holds"),
    [
        ("condition=Initialized", True),
        ("condition=initialized=TRUE", True),
        ("condition=Ready", False),
        ("condition=Ready=false", True),
        ("condition=Nope", False),
        ("jsonpath={.status.phase}=Running", True),
        ("jsonpath='{.status.phase}'=Running", True),
        ("jsonpath=.status.phase=Running", True),
        ("jsonpath={.status.phase}=Pending", False),
        ("jsonpath={.status.podIP}", True),
        ("jsonpath={.status.nope}", False),
        ('jsonpath={.status.conditions[?(@.type=="Ready")].status}=False', True),
        ("delete", False),
        ("create", True),
    ],
)
def test_wait_for(what: str, holds: bool) -> None:
    assert parse_for(what).holds(RICH) is holds


@pytest.mark.parametrize(
    ("what", "holds"), [("delete", True), ("create", False), ("condition=Ready", False)]
)
def test_wait_for_what_is_not_there(what: str, holds: bool) -> None:
    assert parse_for(what).holds(None) is holds


def test_a_condition_about_an_older_generation_does_not_count() -> None:
    old = {
        "metadata": {"generation": 2},
        "status": {"conditions": [{"type": "Ready", "status": "True", "observedGeneration": 1}]},
    }
    assert not parse_for("condition=Ready").holds(old)


@pytest.mark.parametrize(
    "what", ["", "ready", "condition", "condition=", "jsonpath=", "jsonpath={.a}=", "jsonpath={.a}{.b}"]
)
def test_wait_for_nonsense(what: str) -> None:
    with pytest.raises((CommandError, JSONPathError)):
        parse_for(what)


def test_a_timeout_says_what_the_pod_is_waiting_for() -> None:
    assert why_not(RICH) == (
        "\n  phase Running"
        "\n  container second: CrashLoopBackOff: back-off 1m20s restarting failed container=second pod=rich"
    )
    assert why_not(None) == ""


FLAGS: dict[str, Any] = {
    "image": "minipod/base",
    "as_command": False,
    "image_pull_policy": "",
    "env": (),
    "port": None,
    "privileged": False,
    "stdin": False,
    "tty": False,
    "labels": "",
    "annotations": (),
    "restart": "Always",
    "overrides": "",
}


def test_run_makes_a_pod_with_one_container() -> None:
    assert build_pod("web", (), FLAGS) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "labels": {"run": "web"}},
        "spec": {"containers": [{"name": "web", "image": "minipod/base"}], "restartPolicy": "Always"},
    }


def test_run_with_everything() -> None:
    flags = FLAGS | {
        "env": ("A=1", "B=x=y"),
        "port": 80,
        "privileged": True,
        "stdin": True,
        "tty": True,
        "labels": "a=b,c=d",
        "annotations": ("n=m",),
        "restart": "Never",
        "image_pull_policy": "Never",
        "overrides": '{"spec":{"hostNetwork":true,"restartPolicy":null}}',
    }
    pod = build_pod("web", ("sh", "-c", "x"), flags)
    assert pod["metadata"] == {"name": "web", "labels": {"a": "b", "c": "d"}, "annotations": {"n": "m"}}
    assert pod["spec"] == {
        "hostNetwork": True,
        "containers": [
            {
                "name": "web",
                "image": "minipod/base",
                "args": ["sh", "-c", "x"],
                "imagePullPolicy": "Never",
                "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "x=y"}],
                "ports": [{"containerPort": 80}],
                "securityContext": {"privileged": True},
                "stdin": True,
                "stdinOnce": True,
                "tty": True,
            }
        ],
    }
    assert build_pod("web", ("sh",), FLAGS | {"as_command": True})["spec"]["containers"][0]["command"] == [
        "sh"
    ]


@pytest.mark.parametrize(
    "flags", [{"env": ("A",)}, {"labels": "a"}, {"overrides": "["}, {"overrides": "[]"}]
)
def test_run_with_nonsense(flags: dict[str, Any]) -> None:
    with pytest.raises(CommandError):
        build_pod("web", (), FLAGS | flags)


@pytest.mark.parametrize(
    ("given", "force", "now", "sent"),
    [
        (-1, False, False, None),
        (5, False, False, 5),
        (0, False, False, 1),
        (-1, True, False, 0),
        (-1, False, True, 1),
    ],
)
def test_grace_periods(given: int, force: bool, now: bool, sent: int | None) -> None:
    assert _grace(given, force=force, now=now) == sent


@pytest.mark.parametrize(("given", "force", "now"), [(5, True, False), (5, False, True)])
def test_grace_periods_that_contradict(given: int, force: bool, now: bool) -> None:
    with pytest.raises(CommandError):
        _grace(given, force=force, now=now)


LOG_FLAGS: dict[str, Any] = {
    "follow": False,
    "previous": False,
    "timestamps": False,
    "tail": None,
    "since": "",
    "since_time": "",
    "limit_bytes": None,
}


def asked(**flags: Any) -> dict[str, Any]:
    selected = flags.pop("selected", False)
    return {
        key: value
        for key, value in _query(LOG_FLAGS | flags, selected=selected).items()
        if value is not None
    }


def test_which_logs_are_asked_for() -> None:
    assert asked() == {}
    assert asked(selected=True) == {"tailLines": 10}
    assert asked(tail=0, since="90.5s", follow=True) == {"tailLines": 0, "sinceSeconds": 91, "follow": True}
    with pytest.raises(CommandError, match="at most one"):
        asked(since="5s", since_time="2026-01-01T00:00:00Z")
    with pytest.raises(CommandError, match="--tail"):
        asked(tail=-2)


def test_the_first_container_is_the_default_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert choose_container(RICH, "") == "app"
    assert (
        capsys.readouterr().err
        == 'Defaulted container "app" out of: app, second, setup (init), sidecar (init)\n'
    )
    annotated = {
        **RICH,
        "metadata": {
            **RICH["metadata"],
            "annotations": {"kubectl.kubernetes.io/default-container": "second"},
        },
    }
    assert choose_container(annotated, "") == "second"
    assert container_names(RICH) == ["setup", "sidecar", "app", "second"]
    with pytest.raises(CommandError, match="container x is not valid for pod rich"):
        choose_container(RICH, "x")


def test_what_apply_keeps_is_what_it_finds_again() -> None:
    obj = {"kind": "Pod", "metadata": {"name": "x", "annotations": {"a": "b"}}, "spec": {"é": 1}}
    stored = with_last_applied(obj)
    assert last_applied(stored) == obj
    assert last_applied(with_last_applied(stored)) == obj
    assert last_applied({"metadata": {}}) is None
    assert (
        last_applied(
            {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{"}}}
        )
        is None
    )


def test_server_errors_are_kubectls() -> None:
    assert server_error(not_found("pods", "x")) == 'Error from server (NotFound): pods "x" not found'
    assert server_error(StatusError(500, "", "broken"), doing='error when creating "f"') == (
        'Error from server: error when creating "f": broken'
    )


def test_an_invalid_object_lists_its_causes_and_where_they_are_in_the_file() -> None:
    document = parse(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: X\nspec:\n  containers: []\n", "pod.yaml"
    )[0]
    causes = [
        FieldError("metadata.name", ErrorReason.INVALID, "not a DNS label", "X"),
        FieldError("spec.containers", ErrorReason.REQUIRED, ""),
    ]
    error = invalid("Pod", "X", causes)
    text = server_error(error)
    assert text.startswith('The Pod "X" is invalid: \n* metadata.name: Invalid value')
    assert "\n* spec.containers: Required value" in text
    assert places(error, document) == ["pod.yaml:4:3: metadata.name", "pod.yaml:6:3: spec.containers"]


def test_types_of_events() -> None:
    assert _types("warning,Normal") == {"Warning", "Normal"}
    with pytest.raises(CommandError, match="--types"):
        _types("Bad")


def test_a_processs_exit_code_becomes_ours(capsys: pytest.CaptureFixture[str]) -> None:
    leave_with(StreamExit(0))
    with pytest.raises(ProcessExitError) as raised:
        leave_with(StreamExit(7, "command terminated with non-zero exit code: 7"))
    assert raised.value.code == 7
    assert capsys.readouterr().err == "command terminated with exit code 7\n"
    with pytest.raises(ProcessExitError):
        leave_with(StreamExit(127, "exec /bin/nope: no such file or directory"))
    assert "/bin/nope" in capsys.readouterr().err


def summary(cpu: int, memory: int) -> dict[str, Any]:
    stats = {"cpu": {"usageCoreNanoSeconds": cpu}, "memory": {"workingSetBytes": memory}}
    container = {"name": "app", **stats}
    return {
        "pods": [{"podRef": {"namespace": "default", "name": "web"}, "containers": [container], **stats}]
    }


def test_top_is_the_difference_of_two_looks() -> None:
    usages = measure(summary(1_000_000_000, 0), summary(1_500_000_000, 12 << 20), 2.0)
    assert usages == [
        Usage("default", "web", "", 250, 12 << 20),
        Usage("default", "web", "app", 250, 12 << 20),
    ]
    assert measure({"pods": []}, summary(10_000_000, 0), 1.0)[0].cpu == 10
    assert table(usages[:1], namespaces=True, containers=False, headers=True) == (
        "NAMESPACE   NAME   CPU(cores)   MEMORY(bytes)\ndefault     web    250m         12Mi\n"
    )
    assert table(usages[1:], namespaces=False, containers=True, headers=False) == "web   app   250m   12Mi\n"
