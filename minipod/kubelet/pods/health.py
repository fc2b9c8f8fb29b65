"""What hooks and probes say of a running container: the inputs of decisions and status that no process record holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Unhealthy:
    """Why a running container has to be stopped; its restart policy then decides what follows.

    `grace`: seconds between the stop signal and the kill where a probe sets its own, None: the pod's.
    """

    message: str
    grace: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One running container, by its id. What has no hook or probe counts as passed."""

    hooked: bool = True
    """The postStart hook is over: only then is the container running in the eyes of the API."""
    started: bool = True
    """The startup probe has succeeded."""
    ready: bool = True
    """The readiness probe has succeeded."""
    unhealthy: Unhealthy | None = None


HEALTHY = Health()
