"""Deleting an object and waiting until it is gone: by its uid, so that a new one of the same name counts as gone."""

from __future__ import annotations

import time
from typing import Any

from minipod.cli.discovery import ApiResource, found_or
from minipod.cli.session import Session
from minipod.cli.watching import wait_for_object


def delete(
    session: Session,
    resource: ApiResource,
    namespace: str,
    name: str,
    *,
    grace_period: int | None = None,
    dry_run: bool = False,
) -> str:
    """Ask for the deletion; the uid of what was asked for. `grace_period` in seconds, None: the object's own."""
    options: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Background",
    }
    if grace_period is not None:
        options["gracePeriodSeconds"] = grace_period
    if dry_run:
        options["dryRun"] = ["All"]
    answer = session.api.delete(resource.path(namespace, name), options)
    # The answer is the object while it still exists, or a Status whose details tell the uid.
    about = answer.get("details") if answer.get("kind") == "Status" else answer.get("metadata")
    return str((about or {}).get("uid") or "")


def wait_until_gone(
    session: Session,
    resource: ApiResource,
    namespace: str,
    name: str,
    uid: str,
    *,
    deadline: float | None = None,
) -> None:
    """Return when no object of this name and uid exists. `deadline`: monotonic. Raises WaitTimeoutError."""

    def gone(obj: dict[str, Any] | None) -> bool:
        return obj is None or (uid != "" and obj["metadata"]["uid"] != uid)

    wait_for_object(session, resource, namespace, name, gone, deadline=deadline)


def delete_and_wait(
    session: Session, resource: ApiResource, namespace: str, name: str, *, timeout: float | None = None
) -> None:
    """Delete what may be there; return when it is gone. `timeout` in seconds. Raises StatusError, WaitTimeoutError."""
    deadline = None if timeout is None else time.monotonic() + timeout
    uid = found_or(lambda: delete(session, resource, namespace, name), None)
    if uid is not None:
        wait_until_gone(session, resource, namespace, name, uid, deadline=deadline)
