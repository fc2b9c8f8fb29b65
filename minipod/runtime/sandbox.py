"""One pod's sandbox inside its shim: the infra process, the containers, and the end of them all.

The sandbox is READY exactly as long as its infra process lives. When that dies, everything else is killed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from minipod.linux.cgroup2 import cgroup
from minipod.linux.sd_journal import Journal
from minipod.runtime import resources
from minipod.runtime.channel import ContainerChanged, ContainerRemoved, MakeShim, Message, SandboxChanged
from minipod.runtime.children import Child, Children, failure_of
from minipod.runtime.container import Container
from minipod.runtime.errors import (
    NotFoundError,
    RuntimeServiceError,
    SandboxError,
    StartError,
    WrongStateError,
)
from minipod.runtime.journal_log import JournalLog
from minipod.runtime.launch import Launched
from minipod.runtime.launcher import Launcher
from minipod.runtime.poller import Poller
from minipod.runtime.state import (
    SHIM_LEAF,
    ProcessIdentity,
    SandboxRecord,
    StateDirectory,
    check_name,
    identify,
    sandbox_status,
)
from minipod.runtime.types import ContainerConfig, SandboxState, SandboxStatus, StartFailure

STOP_TIMEOUT = 30.0
"""Seconds to wait for killed processes: only one that hangs in the kernel needs longer than a moment."""
CGROUP_TIMEOUT = 2.0

Finished = Callable[[RuntimeServiceError | None], None]


def _journal() -> Journal | None:
    """systemd's, if it is here."""
    try:
        return Journal()
    except OSError:
        return None


class Sandbox:
    """The verbs of a shim. `publish` hands an event to every connected daemon."""

    def __init__(
        self,
        message: MakeShim,
        *,
        poller: Poller,
        launcher: Launcher,
        publish: Callable[[Message], None],
        trouble: Callable[[str], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self.poller = poller
        self.launcher = launcher
        self.children = Children(poller, on_error)
        self.cgroup: Path = message.cgroup_root / message.config.cgroup
        self.log_max_bytes = message.log_max_bytes
        self.log_max_files = message.log_max_files
        self._journal = _journal() if message.log_journal else None
        self.trouble = trouble
        self.containers: dict[str, Container] = {}
        self._infra: Child | None = None
        self._publish = publish
        self._state = StateDirectory(message.directory)
        self._made: Finished | None = None
        self._record = SandboxRecord(
            config=message.config,
            cgroup=self.cgroup,
            created_at=message.created_at,
        )

    def journal_log(self, container: ContainerConfig) -> JournalLog | None:
        """Where the container's output goes beside its log file."""
        if self._journal is None:
            return None
        config = self._record.config
        fields = {
            "SYSLOG_IDENTIFIER": container.name,
            "POD_NAME": config.name,
            "POD_NAMESPACE": config.namespace,
            "POD_UID": config.uid,
            "CONTAINER_NAME": container.name,
            "CONTAINER_ID": container.id,
        }
        return JournalLog(self._journal, fields)

    @property
    def infra(self) -> Child | None:
        """None before the sandbox is ready and after it has ended."""
        return self._infra if self._record.state is SandboxState.READY else None

    @property
    def status(self) -> SandboxStatus:
        return sandbox_status(self._record, tuple(c.status for c in self.containers.values()))

    def container(self, container_id: str) -> Container:
        """Raises NotFoundError."""
        found = self.containers.get(container_id)
        if found is None:
            raise NotFoundError(f"no container {container_id} in sandbox {self._record.config.uid}")
        return found

    # -- verbs -----------------------------------------------------------------------------------------------------

    def make(self, finished: Finished) -> None:
        """Limits, infra process, mounts; `finished` is called later, or at once when it fails at once.

        The daemon has put the sandbox on record; if all dies now, its cgroup is how a later daemon finds this process.
        """
        self._made = finished
        config = self._record.config
        try:
            cgroup.label(self.cgroup, "minipod.pod", f"{config.namespace}/{config.name}")
            cgroup.apply(self.cgroup, config.resources)
            self._infra = self.children.add(self._launch_infra(), self)
            for mount in config.mounts:
                self.launcher.mount_tmpfs(mount)
        except StartError as error:
            self.give_up(error.failure)
        except OSError as error:
            self.give_up(failure_of("create sandbox", error))

    def give_up(self, failure: StartFailure) -> None:
        """The sandbox cannot be made: end what there is of it, then tell."""
        made, self._made = self._made, None
        if made is not None:
            self.stop(lambda _late: made(SandboxError(failure.message, failure)))

    def create_container(self, config: ContainerConfig) -> None:
        if self._record.state is not SandboxState.READY:
            raise WrongStateError(f"sandbox {self._record.config.uid} is not ready")
        check_name("container id", config.id)
        if config.id in self.containers or config.id == SHIM_LEAF:
            raise RuntimeServiceError(f"container id {config.id} is taken")
        container = self.containers[config.id] = Container(config, self)
        self.container_changed(container)

    def remove_container(self, container_id: str, finished: Finished) -> None:
        """Kill what runs of it and forget it; one that is not there is fine."""
        container = self.containers.get(container_id)
        if container is None:
            finished(None)
            return

        def forget() -> None:
            if self.containers.pop(container_id, None) is not None:
                container.close()
                self._state.remove_container(container_id)
                self._publish(ContainerRemoved(container_id))
            finished(None)

        container.when_gone(forget)
        container.kill()

    def update(self, files: Mapping[str, str]) -> None:
        """Write files of the pod's cgroup, all or none, and put them on record. Raises RuntimeServiceError."""
        resources.update(self.cgroup, files)
        config = self._record.config
        self._change(config=replace(config, resources={**config.resources, **files}))

    def stop(self, finished: Finished) -> None:
        """Kill everything; `finished` is called once all of it is dead and on record."""

        def too_long() -> None:
            finished(
                RuntimeServiceError(
                    f"processes {self.children.pids} do not die, killed {STOP_TIMEOUT:g} s ago"
                )
            )

        timer = self.poller.call_later(STOP_TIMEOUT, too_long)

        def all_gone() -> None:
            if timer.callback is not None:
                timer.cancel()
                finished(None)

        self._kill_containers()
        if self._infra is not None:
            signal.pidfd_send_signal(self._infra.pidfd, signal.SIGKILL)
        self.children.when_none(all_gone)

    def release(self) -> None:
        """After stop(): close streams and remove the cgroup leaves. Raises OSError."""
        for container in self.containers.values():
            container.close()
            if container.leaf.exists():
                cgroup.remove(container.leaf, CGROUP_TIMEOUT)

    def container_changed(self, container: Container) -> None:
        """Put a container's status on record and tell everybody."""
        try:
            self._state.write_container(container.record)
        except OSError as error:
            self.trouble(f"cannot keep the state of container {container.status.name}: {error}")
        self._publish(ContainerChanged(container.status))

    # -- events of the infra process -----------------------------------------------------------------------------------

    def started(self, at: int) -> None:  # noqa: ARG002
        assert self._infra is not None
        made, self._made = self._made, None
        if made is None:
            return  # given up meanwhile
        try:
            infra = identify(self._infra.pid)
        except OSError:  # it has ended at once: that is told next
            infra = ProcessIdentity(self._infra.pid, 0)
        self._change(state=SandboxState.READY, shim=identify(os.getpid()), infra=infra)
        made(None)

    def ended(self, code: int, signum: int, at: int) -> None:  # noqa: ARG002
        self._infra = None
        self._change(state=SandboxState.NOT_READY, infra=None)
        self._kill_containers()

    def failed(self, failure: StartFailure, at: int) -> None:  # noqa: ARG002
        self._infra = None
        self.give_up(failure)

    # -- parts -----------------------------------------------------------------------------------------------------

    def _launch_infra(self) -> Launched:
        leaf_fd = cgroup.directory_fd(self.cgroup / SHIM_LEAF)
        try:
            return self.launcher.launch_infra(self._record.config, cgroup_fd=leaf_fd)
        finally:
            os.close(leaf_fd)

    def _kill_containers(self) -> None:
        for container in self.containers.values():
            container.kill()

    def _change(self, **changes: object) -> None:
        self._record = replace(self._record, **changes)  # type: ignore[arg-type]
        try:
            self._save()
        except OSError as error:
            self.trouble(f"cannot keep the state of the sandbox: {error}")
        record = self._record
        infra_pid = record.infra.pid if record.infra else 0
        self._publish(SandboxChanged(record.state, infra_pid, record.config.resources))

    def _save(self) -> None:
        self._state.write_sandbox(self._record)
