"""The first line of `minipod why`, for everything that keeps a pod from being Ready."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.api.timestamps import from_epoch_us
from minipod.kubelet.history.diagnosis import Verdict, diagnose
from minipod.kubelet.history.entries import Entry, Step
from minipod.kubelet.history.wording import span
from tests.unit.kubelet.pods import container, pod

SECOND = 1_000_000
NOW = 1_790_000_000 * SECOND


def ago(seconds: float) -> str:
    return from_epoch_us(NOW - round(seconds * SECOND))


def entry(step: Step, message: str, seconds: float, name: str = "", **fields: Any) -> Entry:
    at = NOW - round(seconds * SECOND)
    return Entry(id=round(1000 - seconds), at=at, step=step, message=message, container=name, **fields)


def condition(type_: str, status: str, seconds: float = 0, **fields: str) -> dict[str, Any]:
    return {"type": type_, "status": status, "lastTransitionTime": ago(seconds), **fields}


READY = condition("Ready", "True", 180)
NOT_READY = condition("Ready", "False", 60)
INITIALIZED = condition("Initialized", "True", 60)


def status(name: str = "app", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "x", "imageID": "", "ready": False, "restartCount": 0, **fields}


def running(seconds: float) -> dict[str, Any]:
    return {"running": {"startedAt": ago(seconds)}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def terminated(code: int, reason: str, seconds: float, **fields: Any) -> dict[str, Any]:
    return {
        "terminated": {
            "exitCode": code,
            "reason": reason,
            "finishedAt": ago(seconds),
            "containerID": "minipod://c1",
            **fields,
        }
    }


def end(seconds: float, *log: str, name: str = "app", **detail: Any) -> Entry:
    return entry(Step.EXIT, "exit code 1 (Error)", seconds, name, log=log, detail={"id": "c1", **detail})


def a_pod(
    *statuses: dict[str, Any],
    spec: dict[str, Any] | None = None,
    meta: dict[str, Any] | None = None,
    init: list[dict[str, Any]] | None = None,
    conditions: list[dict[str, Any]] | None = None,
    containers: list[dict[str, Any]] | None = None,
    **more: Any,
) -> Any:
    return pod(
        *(containers or [container("app")]),
        metadata={"creationTimestamp": ago(60), **(meta or {})},
        status={
            "phase": "Running",
            "containerStatuses": list(statuses),
            "initContainerStatuses": init or [],
            "conditions": conditions if conditions is not None else [NOT_READY, INITIALIZED],
            **more,
        },
        **{"nodeName": "node1", **(spec or {})},
    )


def probed(kind: str, **fields: Any) -> list[dict[str, Any]]:
    return [container("app", **{kind: {"tcpSocket": {"port": 80}}}, **fields)]


def failing(kind: str, text: str, seconds: float, count: int = 1) -> Entry:
    return entry(Step.PROBE, f"{kind} probe failed: {text}", seconds, "app", failed=True, count=count)


CRASHING = status(
    restartCount=5,
    state=waiting("CrashLoopBackOff", "back-off 40s restarting failed container=app pod=web"),
    lastState=terminated(1, "Error", 12),
)
HOOK_RUNS = entry(Step.HOOK, "Started", 3, "app", detail={"reason": "PreStopHookStarted"})
MIGRATE = {"initContainers": [container("migrate"), container("seed")]}
PROXY = {
    "initContainers": [container("proxy", restartPolicy="Always", startupProbe={"tcpSocket": {"port": 1}})]
}
UNINITIALIZED = [NOT_READY, condition("Initialized", "False", 60)]

CASES: list[tuple[str, Any, list[Entry], str]] = [
    (
        "a crash loop",
        a_pod(CRASHING),
        [end(12, "starting", "panic: no such table", "")],
        "web is not Ready: container app is in CrashLoopBackOff (5 restarts, last exit 1 Error 12s ago, "
        'next start in 28s): "panic: no such table"',
    ),
    (
        "a crash loop of which the journal knows nothing",
        a_pod(CRASHING),
        [],
        "web is not Ready: container app is in CrashLoopBackOff (5 restarts, last exit 1 Error 12s ago, "
        "next start in 28s)",
    ),
    (
        "an OOM kill",
        a_pod(status(restartCount=1, state=terminated(137, "OOMKilled", 2, signal=9))),
        [],
        "web is not Ready: container app has ended (OOMKilled (exit 137) 2s ago)",
    ),
    (
        "a signal, and a termination message rather than the log",
        a_pod(status(state=terminated(139, "Error", 2, signal=11, message="said\nlast"))),
        [end(2, "logged")],
        'web is not Ready: container app has ended (SIGSEGV (exit 139) Error 2s ago): "last"',
    ),
    (
        "a readiness probe that fails",
        a_pod(status(state=running(60), started=True), containers=probed("readinessProbe")),
        [
            entry(Step.START, "started", 60, "app"),
            failing("Readiness", "HTTP probe failed with statuscode: 500", 40, 2),
            failing("Readiness", "HTTP probe failed with statuscode: 503", 30, 10),
        ],
        "web is not Ready: container app: readiness probe fails: HTTP probe failed with statuscode: 503 "
        "(12 times in 40s)",
    ),
    (
        "a readiness probe that failed only before the last start",
        a_pod(status(state=running(9), started=True), containers=probed("readinessProbe")),
        [failing("Readiness", "no", 40), entry(Step.START, "started", 9, "app")],
        "web is not Ready: container app: readiness probe has not succeeded yet",
    ),
    (
        "a startup probe",
        a_pod(status(state=running(9), started=False), containers=probed("startupProbe")),
        [failing("Startup", "dial tcp: connection refused", 5)],
        "web is not Ready: container app: its startup probe fails: dial tcp: connection refused "
        "(once, 5s ago)",
    ),
    (
        "a liveness probe that failed for good",
        a_pod(status(state=running(9), started=True), containers=probed("livenessProbe")),
        [entry(Step.KILL, "Container app failed liveness probe, will be restarted", 4, "app")],
        "web is not Ready: container app is being stopped for 4s: Container app failed liveness probe, "
        "will be restarted",
    ),
    (
        "an image that is not here",
        a_pod(
            status(
                state=waiting("ImagePullBackOff", 'Back-off pulling image "x": failed to pull image "x": no')
            ),
            containers=[container("app", image="x", imagePullPolicy="IfNotPresent")],
        ),
        [],
        'web is not Ready: container app: image "x" is not here (IfNotPresent): ImagePullBackOff: no',
    ),
    (
        "a mistake in the configuration",
        a_pod(status(state=waiting("CreateContainerConfigError", "container has runAsNonRoot"))),
        [],
        "web is not Ready: container app cannot be started: CreateContainerConfigError: "
        "container has runAsNonRoot",
    ),
    (
        "an init container that runs",
        a_pod(
            status(state=waiting("PodInitializing")),
            spec=MIGRATE,
            init=[status("migrate", state=running(120)), status("seed", state=waiting("PodInitializing"))],
            conditions=UNINITIALIZED,
        ),
        [],
        "web is not Ready: waits for init container migrate (running for 2m)",
    ),
    (
        "an init container that fails",
        a_pod(
            status(state=waiting("PodInitializing")),
            spec=MIGRATE,
            init=[
                status("migrate", state=terminated(0, "Completed", 50)),
                {**CRASHING, "name": "seed"},
            ],
            conditions=UNINITIALIZED,
        ),
        [end(12, "no db", name="seed")],
        "web is not Ready: init container seed is in CrashLoopBackOff (5 restarts, last exit 1 Error 12s ago, "
        'next start in 28s): "no db"',
    ),
    (
        "a sidecar that has not started",
        a_pod(
            status(state=waiting("PodInitializing")),
            spec=PROXY,
            init=[status("proxy", state=running(3), started=False)],
            conditions=UNINITIALIZED,
        ),
        [],
        "web is not Ready: waits for sidecar proxy: its startup probe has not succeeded yet",
    ),
    (
        "a postStart hook",
        a_pod(status(state=waiting("ContainerCreating"))),
        [
            entry(Step.START, "started", 8, "app"),
            entry(Step.HOOK, "Started", 7, "app", detail={"reason": "PostStartHookStarted"}),
        ],
        "web is not Ready: container app waits for its postStart hook, which runs for 7s",
    ),
    (
        "a volume that cannot be had",
        a_pod(status(state=waiting("ContainerCreating")), phase="Pending"),
        [
            entry(
                Step.MOUNT,
                "volume data: /srv does not exist",
                20,
                failed=True,
                count=3,
                detail={"reason": "FailedMount"},
            )
        ],
        "web is not Ready: FailedMount: volume data: /srv does not exist (3 times in 20s)",
    ),
    (
        "an image that is not here, of which no more than the journal knows",
        a_pod(
            status(state=waiting("ErrImageNeverPull", "not present")),
            phase="Pending",
            containers=[container("app", image="x", imagePullPolicy="Never")],
        ),
        [entry(Step.SANDBOX, "made", 5), entry(Step.IMAGE, "not present", 4, "app", failed=True)],
        'web is not Ready: container app: image "x" is not here (Never): ErrImageNeverPull: not present',
    ),
    (
        "a probe that says nothing",
        a_pod(status(state=running(9), started=False), containers=probed("startupProbe")),
        [failing("Startup", "", 5)],
        "web is not Ready: container app: its startup probe fails without a word (once, 5s ago)",
    ),
    (
        "two containers, of which the one that cannot go on is named",
        a_pod(
            status("app", state=waiting("ContainerCreating")),
            {**CRASHING, "name": "other"},
            containers=[container("app"), container("other")],
        ),
        [],
        "web is not Ready: container other is in CrashLoopBackOff (5 restarts, last exit 1 Error 12s ago, "
        "next start in 28s) (and 1 more)",
    ),
    (
        "a readiness gate",
        a_pod(
            status(ready=True, state=running(9)),
            spec={"readinessGates": [{"conditionType": "example.com/lb"}]},
        ),
        [],
        'web is not Ready: readiness gate: condition "example.com/lb" is not True',
    ),
    (
        "no node",
        a_pod(
            spec={"nodeName": ""},
            conditions=[
                condition(
                    "PodScheduled",
                    "False",
                    60,
                    reason="Unschedulable",
                    message="0/1 nodes: Insufficient cpu.",
                )
            ],
        ),
        [],
        "web is not Ready: it is on no node (for 1m): 0/1 nodes: Insufficient cpu.",
    ),
    (
        "no scheduler",
        a_pod(spec={"nodeName": ""}, conditions=[]),
        [],
        "web is not Ready: it waits for the scheduler for 1m",
    ),
    (
        "a node without a controller",
        a_pod(
            phase="Failed",
            reason="CgroupControllerMissing",
            message="Pod was rejected: this host has no cgroup controller memory",
        ),
        [],
        "web failed: CgroupControllerMissing: Pod was rejected: this host has no cgroup controller memory",
    ),
    (
        "a failed pod",
        a_pod(status(state=terminated(3, "Error", 5)), phase="Failed"),
        [end(5, "bye")],
        'web failed: container app ended with exit 3 Error 5s ago: "bye"',
    ),
    (
        "a completed pod",
        a_pod(status(state=terminated(0, "Completed", 5)), phase="Succeeded"),
        [],
        "web completed 5s ago",
    ),
    (
        "a pod that is Ready",
        a_pod(status(ready=True, state=running(180)), conditions=[READY]),
        [entry(Step.READY, "the pod is Ready", 179)],
        "web is Ready for 2m59s",
    ),
    (
        "a pod that is Ready after restarts",
        a_pod(
            status(ready=True, restartCount=2, state=running(180), lastState=terminated(1, "Error", 200)),
            conditions=[READY],
        ),
        [end(200, "oops")],
        'web is Ready for 3m; container app was restarted 2 times, last exit 1 Error 3m20s ago: "oops"',
    ),
    (
        "a deletion that waits for a hook",
        a_pod(
            status(state=running(60)),
            meta={"deletionTimestamp": ago(-25), "deletionGracePeriodSeconds": 30},
        ),
        [HOOK_RUNS],
        "web is being deleted for 5s: preStop hook of container app runs for 3s (killed in 25s)",
    ),
    (
        "a deletion that waits for a process",
        a_pod(
            status(state=running(60)), meta={"deletionTimestamp": ago(-25), "deletionGracePeriodSeconds": 30}
        ),
        [],
        "web is being deleted for 5s: container app has not ended yet (killed in 25s)",
    ),
    (
        "a deletion that waits for finalizers",
        a_pod(
            meta={
                "deletionTimestamp": ago(30),
                "deletionGracePeriodSeconds": 0,
                "finalizers": ["example.com/a", "example.com/b"],
            }
        ),
        [],
        "web is being deleted for 30s: nothing of it runs; it waits for finalizers example.com/a, example.com/b",
    ),
    ("a pod that is gone", None, [entry(Step.DELETED, "gone", 180)], "web was deleted 3m ago"),
    (
        "a pod that is gone after its container ended",
        None,
        [end(190, "bye"), entry(Step.DELETED, "gone", 180)],
        'web was deleted 3m ago; container app had ended last: exit code 1 (Error): "bye"',
    ),
    ("a pod that nobody saw leave", None, [], "web was deleted while the daemon did not run"),
    (
        "a pod the node has not taken up yet",
        a_pod(conditions=[], phase="Pending"),
        [],
        "web is not Ready: container app is being created",
    ),
]


@pytest.mark.parametrize(("made", "entries", "headline"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_the_first_line_names_the_cause(made: Any, entries: list[Entry], headline: str) -> None:
    assert diagnose("web", made, entries, now=NOW).headline == headline


@pytest.mark.parametrize(
    ("made", "verdict", "container_name", "look"),
    [
        (a_pod(CRASHING), Verdict.NOT_READY, "app", "minipod logs web -c app --previous"),
        (
            a_pod(CRASHING, meta={"namespace": "shop"}),
            Verdict.NOT_READY,
            "app",
            "minipod logs web -c app -n shop --previous",
        ),
        (a_pod(spec={"nodeName": ""}, conditions=[]), Verdict.NOT_READY, "", ""),
        (a_pod(status(ready=True), conditions=[READY]), Verdict.READY, "", ""),
        (None, Verdict.DELETED, "", ""),
    ],
)
def test_it_says_where_to_look_next(made: Any, verdict: Verdict, container_name: str, look: str) -> None:
    found = diagnose("web", made, [], now=NOW)
    assert (found.verdict, found.container, found.look) == (verdict, container_name, look)


def test_a_headline_is_one_line_that_does_nothing_to_a_terminal() -> None:
    found = diagnose("web", a_pod(status(state=waiting("X\x1b[2J", "a\nb\r"))), [], now=NOW)
    assert found.headline.isprintable()


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [(-5, "0s"), (999_999, "0s"), (12 * SECOND, "12s"), (125 * SECOND, "2m5s"), (90000 * SECOND, "1d1h")],
)
def test_spans_are_short(microseconds: int, text: str) -> None:
    assert span(microseconds) == text
