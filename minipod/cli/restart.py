"""`minipod restart`: new processes for a pod that stays: same address, same volumes, same place in the API."""

from __future__ import annotations

from typing import Any

import click

from minipod.cli import options
from minipod.cli.command import Verb
from minipod.cli.durations import parse_duration
from minipod.cli.errors import CommandError
from minipod.cli.node_pages import proxy_path
from minipod.cli.pods import get_pod, pod_name, status_of
from minipod.cli.session import Session
from minipod.cli.wait import why_not
from minipod.cli.watching import WaitTimeoutError, wait_for_pod

Obj = dict[str, Any]

KINDS = ("po", "pod", "pods")


@click.command("restart", cls=Verb)
@click.argument("target", metavar="POD[/CONTAINER]", shell_complete=options.completer("pods"))
@options.container("The container; default: all but init containers that have run and ephemeral ones.")
@options.flag("--wait", default=True, help="Wait until the new processes run [true].")
@options.timeout(
    "90s", "Give up waiting after this time; the old processes get the pod's grace period first."
)
@click.pass_obj
def command(session: Session, target: str, container: str, wait: bool, timeout: str) -> None:
    """Restart the containers of a pod in place, whatever its restartPolicy.

    Their preStop hooks, stop signals and grace periods apply. What waits for its back-off starts at once.

    \b
    minipod restart web                    minipod restart web/app
    """
    seconds = parse_duration(timeout, "--timeout")
    name, inner = split_target(target)
    if inner and container:
        raise CommandError("name the container once: with -c, or after the pod")
    pod = get_pod(session, pod_name(session, name))
    name, container = pod["metadata"]["name"], inner or container
    node = pod["spec"].get("nodeName")
    if not node:
        raise CommandError(f"pod/{name} is on no node yet: there is nothing to restart")
    page = proxy_path(session, f"pods/{session.current_namespace}/{name}/restart", node)
    answer = session.api.create(page, None, {"container": container or None})
    before = {one["name"]: one["containerID"] for one in answer["containers"]}
    if wait:
        _wait(session, name, str(answer["pod"]["uid"]), before, seconds, timeout)
    what = f"pod/{name}" if not container else f"container {container} of pod/{name}"
    print(f"{what} {'restarted' if wait else 'is restarting'}")


def split_target(text: str) -> tuple[str, str]:
    """`web`, `web/app`, `pod/web`, `pod/web/app` -> the pod and the container, "" for none. Raises CommandError."""
    first, *rest = text.split("/")
    if rest and first in KINDS:
        first, *rest = rest
    if len(rest) > 1 or not first or not all(rest):
        raise CommandError(f'"{text}" is not POD or POD/CONTAINER, such as web/app')
    return first, rest[0] if rest else ""


def _wait(
    session: Session, name: str, uid: str, before: dict[str, str], seconds: float, timeout: str
) -> None:
    """Return when each container runs with another id than `before`. Raises CommandError."""
    latest: Obj = {}

    def restarted(pod: Obj) -> bool:
        nonlocal latest
        latest = pod
        return all(_runs_anew(status_of(pod, container), old) for container, old in before.items())

    try:
        wait_for_pod(session, name, uid, restarted, seconds=seconds, before="its containers were restarted")
    except WaitTimeoutError:
        raise CommandError(
            f"pod/{name} is restarting, but has not come up in {timeout}{why_not(latest)}"
        ) from None


def _runs_anew(status: Obj, old_id: str) -> bool:
    return "running" in (status.get("state") or {}) and status.get("containerID", "") != old_id
