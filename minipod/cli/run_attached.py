"""The second half of `run -it` and `run --attach`: staying with the pod until it ends."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

from minipod.cli.attach import attach
from minipod.cli.deletion import delete_and_wait
from minipod.cli.errors import CommandError, ProcessExitError, refused
from minipod.cli.pods import choose_container
from minipod.cli.session import Session
from minipod.cli.wait import why_not
from minipod.cli.watching import WaitTimeoutError, wait_for_object

Obj = dict[str, Any]

ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """`ends`: the pod does not restart, so that its exit code becomes ours; `start_timeout` in seconds."""

    stdin: bool
    tty: bool
    quiet: bool
    remove: bool
    ends: bool
    start_timeout: float


def follow(session: Session, pod: Obj, how: Following) -> None:
    """Attach, and leave with the container's exit code; with `remove`, delete the pod whatever happened.

    Raises CommandError, StatusError, ProcessExitError.
    """
    name = pod["metadata"]["name"]
    try:
        _stay(session, name, choose_container(pod, "", quiet=True), how)
    finally:
        if how.remove:
            delete_and_wait(session, session.discovery.find("pods"), session.current_namespace, name)
            if not how.quiet:
                print(f'pod "{name}" deleted')


def _stay(session: Session, name: str, container: str, how: Following) -> None:
    pod = _wait_for_start(session, name, container, how.start_timeout)
    running = "running" in _state(pod, container)
    if running and how.tty:
        attach(session, pod, container, stdin=how.stdin, tty=True, quiet=how.quiet)
    elif running and how.stdin:
        _feed_and_copy_log(session, name, container)
    else:
        _copy_log(session, name, container)
    if how.ends:
        pods = session.discovery.find("pods")
        ended = wait_for_object(
            session, pods, session.current_namespace, name, lambda obj: obj is None or _phase(obj) in ENDED
        )
        code = (_state(ended or {}, container).get("terminated") or {}).get("exitCode", 0)
        if code:
            raise ProcessExitError(code)


def _wait_for_start(session: Session, name: str, container: str, timeout: float) -> Obj:
    """The pod as it is when the container runs, or has ended already."""
    latest: Obj = {}

    def started(obj: Obj | None) -> bool:
        nonlocal latest
        if obj is None:
            raise CommandError(f'pods "{name}" was deleted before it ran')
        latest = obj
        return _phase(obj) in ENDED or "running" in _state(obj, container)

    pods = session.discovery.find("pods")
    deadline = time.monotonic() + timeout
    try:
        wait_for_object(session, pods, session.current_namespace, name, started, deadline=deadline)
    except WaitTimeoutError:
        raise CommandError(f"timed out waiting for pod/{name} to run{why_not(latest)}") from None
    return latest


def _phase(pod: Obj) -> str:
    return str((pod.get("status") or {}).get("phase"))


def _state(pod: Obj, container: str) -> Obj:
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        if status["name"] == container:
            state: Obj = status.get("state") or {}
            return state
    return {}


def _feed_and_copy_log(session: Session, name: str, container: str) -> None:
    """Input by attaching, output from the log, which also has what was printed before we were there."""
    from minipod.cli.interactive import fed
    from minipod.client.streaming import open_attach

    try:
        streams = open_attach(
            session.api,
            session.current_namespace,
            name,
            container=container,
            stdin=True,
            stdout=False,
            stderr=False,
        )
    except Exception as error:
        if refused(error) is None:
            raise
        # It has ended meanwhile and wants no more input.
        _copy_log(session, name, container)
        return
    with fed(streams):
        _copy_log(session, name, container)


def _copy_log(session: Session, name: str, container: str) -> None:
    """From its first byte to its end: nothing is lost of a command that was quicker than we."""
    path = session.discovery.find("pods").path(session.current_namespace, name, "log")
    with session.api.stream("GET", path, query={"container": container, "follow": True}) as stream:
        for chunk in stream:
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
