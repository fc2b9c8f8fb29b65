"""The second half of `run -it`, `run --attach` and `debug -it`: staying with a container until it ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minipod.cli.attach import attach
from minipod.cli.deletion import delete_and_wait
from minipod.cli.errors import CommandError, ProcessExitError, refused
from minipod.cli.pods import choose_container, status_of
from minipod.cli.session import Session
from minipod.cli.wait import why_not
from minipod.cli.watching import WaitTimeoutError, wait_for_object

Obj = dict[str, Any]

ENDED = ("Succeeded", "Failed")
NEVER_RAN = ("StartError", "ContainerCannotRun")
"""Reasons of ends of which no log tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """`ends`: it is not restarted, so that its exit code becomes ours; `start_timeout` in seconds."""

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
        container = choose_container(pod, "", quiet=True)
        _stay(session, name, container, how)
        if how.ends:
            _leave_with_code(session, name, container, lambda obj: _phase(obj) in ENDED)
    finally:
        if how.remove:
            delete_and_wait(session, session.discovery.find("pods"), session.current_namespace, name)
            if not how.quiet:
                print(f'pod "{name}" deleted')


def follow_container(session: Session, name: str, container: str, how: Following) -> None:
    """The same with one container of a pod that goes on."""
    _stay(session, name, container, how)
    if how.ends:
        _leave_with_code(session, name, container, lambda obj: "terminated" in _state(obj, container))


def _stay(session: Session, name: str, container: str, how: Following) -> None:
    pod = _wait_for_start(session, name, container, how)
    running = "running" in _state(pod, container)
    if running and how.tty:
        attach(session, pod, container, stdin=how.stdin, tty=True, quiet=how.quiet)
    elif running and how.stdin:
        _feed_and_copy_log(session, name, container)
    else:
        _copy_log(session, name, container)


def _leave_with_code(session: Session, name: str, container: str, ended: Callable[[Obj], bool]) -> None:
    """Once the pod has `ended`. Raises ProcessExitError."""
    pods = session.discovery.find("pods")
    pod = wait_for_object(
        session, pods, session.current_namespace, name, lambda obj: obj is None or ended(obj)
    )
    end = _state(pod or {}, container).get("terminated") or {}
    if end.get("reason") in NEVER_RAN:
        print(
            f"error: container {container} could not be started: {end.get('message', '')}", file=sys.stderr
        )
    if code := end.get("exitCode", 0):
        raise ProcessExitError(code)


def _wait_for_start(session: Session, name: str, container: str, how: Following) -> Obj:
    """The pod as it is when the container runs, or has ended already."""
    once = how.ends
    latest: Obj = {}

    def started(obj: Obj | None) -> bool:
        nonlocal latest
        if obj is None:
            raise CommandError(f'pods "{name}" was deleted before it ran')
        latest = obj
        state = _state(obj, container)
        return _phase(obj) in ENDED or "running" in state or (once and "terminated" in state)

    pods = session.discovery.find("pods")
    deadline = time.monotonic() + how.start_timeout
    try:
        wait_for_object(session, pods, session.current_namespace, name, started, deadline=deadline)
    except WaitTimeoutError:
        raise CommandError(f"timed out waiting for pod/{name} to run{why_not(latest)}") from None
    return latest


def _phase(pod: Obj) -> str:
    return str((pod.get("status") or {}).get("phase"))


def _state(pod: Obj, container: str) -> Obj:
    state: Obj = status_of(pod, container).get("state") or {}
    return state


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
