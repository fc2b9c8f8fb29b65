"""A decision while it is being made: what is known of the pod, and the starts and kills found so far."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from minipod.api import core_v1
from minipod.kubelet.backoff import BackOffPolicy, restart_after
from minipod.kubelet.pod_names import AnyContainer
from minipod.kubelet.pods.health import HEALTHY, Health
from minipod.kubelet.pods.restart_policy import changed, restart_policy, runs_again
from minipod.kubelet.status.records import ContainerRecord
from minipod.runtime.types import ContainerState

WILL_RESTART = ", will be restarted"
"""What the kubelet adds to the message of a kill after which the container starts again."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start this container now, as this attempt; `delay` (seconds) is the back-off its next restart is under."""

    name: str
    attempt: int = 0
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Kill:
    """Stop this container (by id), without waiting for it; `grace`: its seconds until the kill, None: the pod's."""

    name: str
    id: str
    message: str
    grace: int | None = None
    to_replace: bool = True
    """Its end is then no success, whatever its exit code. Not so after a hook has failed: that leaves the word to the
    restart policy, as in the kubelet."""


@dataclass(frozen=True, slots=True)
class Held:
    """A restart that has to wait until `until` (µs since the epoch), `delay` seconds in all."""

    until: int
    delay: float


@dataclass(slots=True, kw_only=True)
class Draft:
    """The arguments of compute_pod_actions, and what was decided of the containers looked at so far, in their order."""

    pod: core_v1.Pod
    records: Mapping[str, ContainerRecord]
    now: int
    backoff: BackOffPolicy
    health: Mapping[str, Health]
    stopping: Collection[str]
    restarts: Collection[str]
    unwell: Collection[str]
    unstartable: Collection[str]
    starts: list[Start] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    held: dict[str, Held] = field(default_factory=dict)
    hook_pending: bool = False
    """A postStart hook is not over: no container after this one is started, as the kubelet starts them in turn."""

    def health_of(self, record: ContainerRecord) -> Health:
        return self.health.get(record.id, HEALTHY)

    def ending(self, record: ContainerRecord) -> bool:
        """Whether it is being stopped, or to be."""
        return record.id in self.stopping or any(kill.id == record.id for kill in self.kills)

    def runs_again(self, container: core_v1.Container, record: ContainerRecord) -> bool:
        return runs_again(
            self.pod,
            container,
            record,
            asked=container.name in self.restarts,
            unwell=record.id in self.unwell,
        )

    def keep(self, container: core_v1.Container, record: ContainerRecord, *, sidecar: bool = False) -> None:
        """Look after a container that runs: it is killed when it is ill, out of date or to be restarted."""
        health = self.health_of(record)
        if not health.hooked:
            self.hook_pending = True
        if record.id in self.stopping:
            return
        name, kind = container.name, "Init container" if sidecar else "Container"
        again = "" if sidecar else WILL_RESTART
        if changed(container, record):
            self.kills.append(Kill(name, record.id, f"{kind} {name} definition changed{again}"))
        elif name in self.restarts:
            self.kills.append(Kill(name, record.id, f"{kind} {name} is restarted on request"))
        elif health.unhealthy:
            ill = health.unhealthy
            said = ill.message.removeprefix(f"Container {name}")
            probed = said != ill.message  # a sentence about the container, not a mere reason, as of a hook
            if probed:
                again = "" if restart_policy(self.pod, container) == "Never" else again
                said = f"{kind} {name}{said}{again}"
            self.kills.append(Kill(name, record.id, said, ill.grace, to_replace=probed))

    def start(self, container: AnyContainer, record: ContainerRecord | None) -> None:
        """Put a container that does not run on the list to start, or among those held back."""
        start = self._attempt(container, record)
        if start is None or self.hook_pending:
            return
        self.starts.append(start)
        hooked = container.lifecycle is not None and container.lifecycle.postStart is not None
        if hooked and container.name not in self.unstartable:
            self.hook_pending = True

    def _attempt(self, container: AnyContainer, record: ContainerRecord | None) -> Start | None:
        """The start that is due; None when the container has to wait for its back-off."""
        name = container.name
        if record is None:
            return Start(name)
        if record.current and record.state is ContainerState.CREATED:
            # A daemon died between making and starting it: it has not run, so this is not a restart.
            return Start(name, record.attempt, record.delay)
        attempt = record.attempt + 1
        fresh = isinstance(container, core_v1.Container) and changed(container, record)
        if record.exit is None or not record.current or fresh or name in self.restarts:
            return Start(name, attempt, self.backoff.initial)
        restart = restart_after(
            self.backoff,
            delay=record.delay,
            started_at=record.exit.started_at,
            finished_at=record.exit.finished_at,
        )
        # An end in the future means that the clock was set back: waiting for it could take for ever.
        if restart.start_at > self.now >= record.exit.finished_at:
            self.held[name] = Held(restart.start_at, record.delay)
            return None
        return Start(name, attempt, restart.next_delay)
