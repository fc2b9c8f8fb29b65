"""Starts the containers of one pod, and remembers which of them must wait for a reason of their own, and until when."""

from __future__ import annotations

import functools
import logging
import secrets
from collections.abc import Iterable
from pathlib import Path

from minipod.api import core_v1
from minipod.images.types import Image
from minipod.images.users import User, UserLookupError, resolve_user
from minipod.kubelet import events
from minipod.kubelet.backoff import MICROSECONDS, BackOffPolicy, retry_delay
from minipod.kubelet.containers.container_config import (
    ContainerRequest,
    container_config,
    lacking_capabilities,
)
from minipod.kubelet.containers.devices import host_devices, volume_devices
from minipod.kubelet.containers.environment import refers_to_pod_ip
from minipod.kubelet.containers.field_ref import FieldPathError
from minipod.kubelet.containers.images import (
    ERR_IMAGE_PULL,
    IMAGE_PULL_BACK_OFF,
    IMAGE_REASONS,
    ImageUnavailableError,
    choose_image,
    pulled_message,
)
from minipod.kubelet.containers.process import (
    CreateContainerConfigError,
    ProcessUser,
    process_user,
    requested_user,
)
from minipod.kubelet.containers.termination_message import make_file
from minipod.kubelet.history.entries import Step
from minipod.kubelet.history.vocabulary import mounts_message
from minipod.kubelet.pod_names import AnyContainer, container_of
from minipod.kubelet.pods.actions import Start
from minipod.kubelet.pods.sandbox import PodSandbox
from minipod.kubelet.services import Services
from minipod.kubelet.status.generate import Waiting
from minipod.runtime.errors import RuntimeServiceError, StartError
from minipod.runtime.types import (
    ContainerConfig,
    ContainerState,
    ContainerStatus,
    SandboxStatus,
    StartFailure,
)

log = logging.getLogger(__name__)

CONFIG_RETRY = BackOffPolicy(initial=10.0, maximum=300.0)

SHOWN_AS_ERROR = 0.2
"""The part of a back-off during which a failed pull shows as ErrImagePull; then it is ImagePullBackOff."""

CONFIG_ERROR = "CreateContainerConfigError"
CREATE_ERROR = "CreateContainerError"
RUN_ERROR = "RunContainerError"


class ContainerStarter:
    """`waiting` says why containers do not start that are due: name -> reason and message."""

    def __init__(self, sandbox: PodSandbox, services: Services) -> None:
        self.waiting: dict[str, Waiting] = {}
        self._sandbox = sandbox
        self._services = services
        self._retries: dict[str, _Retry] = {}

    def wake_at(self, due: Iterable[Start]) -> int | None:
        """The next moment (µs) at which one of these starts may be tried again or shows another reason."""
        now = self._services.clock()
        retries = (self._retries.get(start.name) for start in due)
        return min((retry.next_change(now) for retry in retries if retry), default=None)

    def forget_image_problems(self) -> None:
        """Images came or went: containers waiting for one are tried at once."""
        for name, waiting in self.waiting.items():
            if waiting.reason in IMAGE_REASONS:
                self._retries.pop(name, None)

    def try_again(self) -> None:
        """The Pod was changed: what kept a container from starting may be mended."""
        self._retries.clear()

    def clear(self) -> None:
        self.waiting.clear()
        self._retries.clear()

    async def start(self, start: Start) -> bool:
        """Start one container. False when it has to wait; `waiting` and an event then say why.

        Raises SandboxSetupError when the pod's network cannot be had.
        """
        retry = self._retries.get(start.name)
        if retry and retry.made_at <= self._services.clock() < retry.at:  # else the clock was set back
            self._show_back_off(start.name, retry)
            return False
        container = container_of(self._sandbox.pod, start.name)
        if refers_to_pod_ip(container):
            await self._sandbox.connected()
        try:
            config = self._config(container, start)
        except ImageUnavailableError as error:
            self._wait_for_image(container, error)
            return False
        except CreateContainerConfigError as error:
            self._wait(container.name, error.reason, str(error), CONFIG_RETRY)
            return False
        except (UserLookupError, OSError) as error:
            self._wait(container.name, CREATE_ERROR, str(error), CONFIG_RETRY)
            return False
        except FieldPathError as error:
            self._wait(container.name, CONFIG_ERROR, str(error), CONFIG_RETRY)
            return False
        return await self._run(container, config)

    def _config(self, container: AnyContainer, start: Start) -> ContainerConfig:
        services, sandbox = self._services, self._sandbox
        image = choose_image(container, services.images.resolve(container.image or ""))
        self._event(events.NORMAL, events.PULLED, pulled_message(container), container.name)
        status = services.runtime.status(sandbox.context.uid)
        infra_pid = status.infra_pid if status else 0
        request = ContainerRequest(
            container=container,
            image=image,
            user=look_up(sandbox.pod, container, image),
            id=secrets.token_hex(32),
            attempt=start.attempt,
            delay=start.delay,
            infra_pid=infra_pid,
            pod_ip=sandbox.pod_ip,
            termination_log=make_file(sandbox.context, container, start.attempt),
            device_rules=volume_devices(sandbox.pod, container).rules,
            target_id=self._target(container, status),
        )
        return container_config(
            sandbox.pod,
            request,
            context=sandbox.context,
            volumes=sandbox.volumes,
            host_devices=host_devices,
        )

    def _target(self, container: AnyContainer, sandbox: SandboxStatus | None) -> str:
        """The id of the container whose processes an ephemeral one is to see. Raises CreateContainerConfigError."""
        name = container.targetContainerName if isinstance(container, core_v1.EphemeralContainer) else None
        if not name:
            return ""
        for status in sandbox.containers if sandbox else ():
            if status.name == name and status.state is ContainerState.RUNNING:
                return status.id
        raise CreateContainerConfigError(
            f"unable to find target container {name}: it does not run", reason=CREATE_ERROR
        )

    async def _run(self, container: AnyContainer, config: ContainerConfig) -> bool:
        name, uid = container.name, self._sandbox.context.uid
        runtime = self._services.runtime
        reason = CREATE_ERROR
        try:
            await self._forget_what_never_was(name)
            began = self._services.clock()
            await runtime.create_container(uid, config)
            self._note(Step.CREATE, mounts_message(container), name, began)
            await self._sandbox.connected()
            reason = RUN_ERROR
            began = self._services.clock()
            status = await runtime.start_container(uid, config.id)
            self._note(Step.START, "started", name, began)
        except StartError as error:
            if error.failure.of_subpath:
                problem = subpath_problem(container, config, error.failure)
                self._wait(name, CONFIG_ERROR, problem, CONFIG_RETRY)
                await self._forget_what_never_was(name)
                return False
            self._created(name)
            self._started(name)
            self._event(events.WARNING, events.FAILED, f"Error: {error.failure.message}", name)
            return True  # the failure is on record as an exit: the next decision counts it
        except (RuntimeServiceError, OSError) as error:
            self._wait(name, reason, str(error), CONFIG_RETRY)
            return False
        self._created(name)
        self._started(name)
        self._event(events.NORMAL, events.STARTED, f"Started container {name}", name)
        lacking = [
            f"capability {c} cannot be given: minipod itself does not have it"
            for c in lacking_capabilities(container, self._services.settings)
        ]
        forbidden = volume_devices(self._sandbox.pod, container).warnings
        for warning in (*status.warnings, *lacking, *forbidden):
            self._event(events.WARNING, events.NOT_AS_ASKED, warning, name)
        return True

    def _note(self, step: Step, message: str, name: str, began: int) -> None:
        now = self._services.clock()
        self._services.history.note(self._sandbox.pod, step, message, container=name, began=began, ended=now)

    def _created(self, name: str) -> None:
        self._event(events.NORMAL, events.CREATED, f"Created container: {name}", name)

    def _started(self, name: str) -> None:
        self.waiting.pop(name, None)
        self._retries.pop(name, None)

    async def _forget_what_never_was(self, name: str) -> None:
        """Attempts that were made, and are too many, are collected: see gc/dead_containers.py."""
        sandbox = self._services.runtime.status(self._sandbox.context.uid)
        for old in sandbox.containers if sandbox else ():
            if old.name == name and _was_never_made(old):
                await self._services.runtime.remove_container(self._sandbox.context.uid, old.id)

    # -- waiting -------------------------------------------------------------------------------------------------

    def _wait_for_image(self, container: AnyContainer, error: ImageUnavailableError) -> None:
        self._event(events.WARNING, error.event, error.event_message, container.name)
        self._wait(
            container.name,
            error.reason,
            error.message,
            self._services.settings.image_retry,
            said=error.reason,
        )

    def _wait(self, name: str, reason: str, message: str, policy: BackOffPolicy, *, said: str = "") -> None:
        before = self._retries.get(name)
        failures = before.failures + 1 if before else 1
        delay = retry_delay(failures, initial=policy.initial, maximum=policy.maximum)
        self._retries[name] = _Retry(failures, self._services.clock(), delay)
        self.waiting[name] = Waiting(reason, message)
        self._event(events.WARNING, events.FAILED, f"Error: {said or message}", name)

    def _show_back_off(self, name: str, retry: _Retry) -> None:
        """Between tries, and a moment after the last one, a pull that failed shows as ImagePullBackOff."""
        waiting = self.waiting.get(name)
        if waiting is None or waiting.reason != ERR_IMAGE_PULL or self._services.clock() < retry.shows_at:
            return
        text = f'Back-off pulling image "{container_of(self._sandbox.pod, name).image}"'
        self.waiting[name] = Waiting(IMAGE_PULL_BACK_OFF, f"{text}: {ERR_IMAGE_PULL}: {waiting.message}")
        self._event(events.NORMAL, events.BACK_OFF, text, name)
        self._event(events.WARNING, events.FAILED, f"Error: {IMAGE_PULL_BACK_OFF}", name)

    def _event(self, type_: str, reason: str, message: str, container: str) -> None:
        self._services.events.pod_event(self._sandbox.pod, type_, reason, message, container=container)


class _Retry:
    """A container's next try; moments in µs."""

    def __init__(self, failures: int, now: int, delay: float) -> None:
        self.failures = failures
        self.made_at = now
        self.at = now + round(delay * MICROSECONDS)
        self.shows_at = now + round(delay * SHOWN_AS_ERROR * MICROSECONDS)

    def next_change(self, now: int) -> int:
        return self.shows_at if now < self.shows_at else self.at


def _was_never_made(status: ContainerStatus) -> bool:
    return status.state is ContainerState.CREATED or bool(status.failure and status.failure.of_subpath)


def subpath_problem(container: AnyContainer, config: ContainerConfig, failure: StartFailure) -> str:
    """What the kubelet says of a subPath it cannot prepare, with the cause."""
    # Two volumes may be mounted by the same subPath: the cause tells which one it was.
    names = (
        container.volumeMounts[int(subpath.target.name)].name
        for subpath in config.subpaths
        if subpath.subpath == failure.operand and f" of volume {subpath.volume}: " in failure.message
    )
    mount = next(names, failure.operand)
    return (
        f'failed to prepare subPath for volumeMount "{mount}" of container "{container.name}": '
        f"{failure.message}"
    )


def look_up(pod: core_v1.Pod, container: AnyContainer, image: Image) -> ProcessUser:
    """Whom the container runs as. Raises CreateContainerConfigError, UserLookupError."""
    request = requested_user(pod, container, image.config)
    found = _user(image.layers, request.user)
    return process_user(request, uid=found.uid, gid=found.gid, groups=found.groups, home=found.home)


@functools.lru_cache(maxsize=256)
def _user(layers: tuple[Path, ...], user: str) -> User:
    """Layers are named by their content, so an answer holds for ever."""
    return resolve_user(layers, user)
