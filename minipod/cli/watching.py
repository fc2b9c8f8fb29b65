"""Waiting for an object to become something, by one list and one watch from there; nothing polls."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from minipod.cli.discovery import ApiResource
from minipod.cli.errors import CommandError
from minipod.cli.session import Session
from minipod.client.http import JSON, Query

FOREVER = 7 * 86400.0
"""Seconds; what kubectl takes a negative timeout for."""


GONE = 410
"""HTTP: the version to watch from is no longer remembered."""


class WaitTimeoutError(Exception):
    """It did not happen in time."""


def wait_for_object(
    session: Session,
    resource: ApiResource,
    namespace: str,
    name: str,
    done: Callable[[dict[str, Any] | None], bool],
    *,
    deadline: float | None = None,
) -> dict[str, Any] | None:
    """Return the object as it is when `done` first holds; `done` gets None while there is no such object.

    `deadline` is on the monotonic clock. Raises WaitTimeoutError.
    """
    path = resource.path(namespace)
    query = {"fieldSelector": f"metadata.name={name}"}
    while True:
        listed = session.api.get(path, query)
        state = listed["items"][0] if listed["items"] else None
        if done(state):
            return state
        version = listed["metadata"]["resourceVersion"]
        for event in events_until(session, path, {**query, "resourceVersion": version}, deadline):
            state = None if event["type"] == "DELETED" else event["object"]
            if done(state):
                return state


def wait_for_pod(
    session: Session,
    name: str,
    uid: str,
    done: Callable[[dict[str, Any]], bool],
    *,
    seconds: float,
    before: str,
) -> None:
    """Return when `done` holds for the pod of this uid. `before`: what it must not be deleted before, as a clause.

    Raises WaitTimeoutError, and CommandError when the pod is gone or another has its name.
    """

    def there_and_done(pod: dict[str, Any] | None) -> bool:
        if pod is None or pod["metadata"]["uid"] != uid:
            raise CommandError(f"pod/{name} was deleted before {before}")
        return done(pod)

    pods = session.discovery.find("pods")
    deadline = time.monotonic() + seconds
    wait_for_object(session, pods, session.current_namespace, name, there_and_done, deadline=deadline)


def events_until(
    session: Session, path: str, query: Query, deadline: float | None
) -> Iterator[dict[str, Any]]:
    """Watch events until the server ends the watch, as it may at any time: then list again.

    Raises WaitTimeoutError when the deadline has passed.
    """
    with session.api.stream("GET", path, query={**query, "watch": True}, accept=JSON) as stream:
        lines = stream.lines()
        while True:
            if deadline is not None:
                stream.settimeout(_left(deadline))
            try:
                line = next(lines, None)
            except TimeoutError:
                raise WaitTimeoutError from None
            if line is None:
                return
            event = json.loads(line)
            if event["type"] == "ERROR":
                if event["object"].get("code") == GONE:
                    return
                raise CommandError(f"the watch failed: {event['object'].get('message')}")
            yield event


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise WaitTimeoutError
    return left
