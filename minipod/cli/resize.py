"""`minipod resize`: other cpu and memory for a container that goes on running."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from minipod.cli import options
from minipod.cli.command import Verb
from minipod.cli.durations import parse_duration
from minipod.cli.errors import CommandError
from minipod.cli.pods import choose_container, get_pod, pod_name
from minipod.cli.session import Session
from minipod.cli.watching import WaitTimeoutError, wait_for_pod

Obj = dict[str, Any]

PENDING = "PodResizePending"
IN_PROGRESS = "PodResizeInProgress"


@click.command("resize", cls=Verb)
@click.argument("pod", metavar="POD", shell_complete=options.completer("pods"))
@options.container()
@click.option("--limits", default="", metavar="AMOUNTS", help="New limits, such as cpu=500m,memory=128Mi.")
@click.option(
    "--requests", default="", metavar="AMOUNTS", help="New requests, such as cpu=100m,memory=64Mi."
)
@options.flag("--wait", default=True, help="Wait until it is in force [true].")
@options.timeout("30s", "Give up waiting after this time.")
@click.pass_obj
def command(
    session: Session, pod: str, container: str, limits: str, requests: str, wait: bool, timeout: str
) -> None:
    """Change what a running container may use, without a restart unless its resizePolicy asks for one.

    \b
    minipod resize web --limits=memory=256Mi
    minipod resize web -c app --requests=cpu=200m,memory=64Mi --limits=cpu=1,memory=64Mi
    """
    seconds = parse_duration(timeout, "--timeout")
    wanted = {"limits": amounts(limits, "--limits"), "requests": amounts(requests, "--requests")}
    resources = {which: found for which, found in wanted.items() if found}
    if not resources:
        raise CommandError("say what to change: --limits, --requests or both")
    found = get_pod(session, pod_name(session, pod))
    name, chosen = found["metadata"]["name"], choose_container(found, container)
    changed = session.api.patch(
        session.discovery.find("pods").path(session.current_namespace, name, "resize"),
        patch(found, chosen, resources),
        content_type="application/strategic-merge-patch+json",
    )
    if wait and (changed.get("spec") or {}).get("nodeName"):
        _wait(session, changed, seconds, timeout)
    print(f"pod/{name} resized")


def amounts(text: str, flag: str) -> dict[str, str]:
    """cpu=1,memory=64Mi -> {"cpu": "1", "memory": "64Mi"}. Raises CommandError."""
    found = {}
    for part in filter(None, text.split(",")):
        name, equals, amount = part.partition("=")
        if not equals or not amount or name not in ("cpu", "memory"):
            raise CommandError(f'{flag}: "{part}" is not cpu=AMOUNT or memory=AMOUNT, such as memory=64Mi')
        found[name] = amount
    return found


def patch(pod: Obj, container: str, resources: Mapping[str, Mapping[str, str]]) -> Obj:
    """For the subresource resize."""
    groups = ("containers", "initContainers")
    group = next((g for g in groups if any(c["name"] == container for c in pod["spec"].get(g) or ())), "")
    if not group:
        raise CommandError(f"container {container} is ephemeral: it has no resources")
    return {"spec": {group: [{"name": container, "resources": resources}]}}


def state_of_resize(pod: Obj, generation: int) -> tuple[bool, str]:
    """Whether it is settled, and what stands against it ("" once it is in force)."""
    status = pod.get("status") or {}
    if (status.get("observedGeneration") or 0) < generation:
        return False, "the kubelet has not seen it yet"
    for condition in status.get("conditions") or ():
        if condition["status"] != "True" or condition["type"] not in (PENDING, IN_PROGRESS):
            continue
        said = ": ".join(filter(None, (condition.get("reason"), condition.get("message"))))
        # What can never be will not become possible by waiting.
        settled = condition["type"] == PENDING and condition.get("reason") == "Infeasible"
        return settled, said or "it is in progress"
    return True, ""


def _wait(session: Session, changed: Obj, seconds: float, timeout: str) -> None:
    meta = changed["metadata"]
    name, problem = meta["name"], ""

    def settled(pod: Obj) -> bool:
        nonlocal problem
        done, problem = state_of_resize(pod, meta.get("generation") or 0)
        return done

    try:
        wait_for_pod(session, name, meta["uid"], settled, seconds=seconds, before="the resize was in force")
    except WaitTimeoutError:
        raise CommandError(
            f"the resize of pod/{name} is asked for, but not in force after {timeout}: {problem}"
        ) from None
    if problem:
        raise CommandError(f"the resize of pod/{name} cannot be: {problem}")
