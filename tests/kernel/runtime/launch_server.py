"""A shim in miniature: started with `python -I -S`, it launches what it is told to, one JSON line per request.

Launching needs a single-threaded process that may change its mount namespace; pytest's is neither.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent.parent))

from minipod.linux.cgroup2 import cgroup
from minipod.linux.mount import MS_SHARED, mount_setattr
from minipod.runtime import launch, readonly_exe, sync
from minipod.runtime.errors import StartError
from minipod.runtime.launch import Launched
from minipod.runtime.types import (
    NamespaceMode,
    OverlayRootfs,
    SandboxConfig,
    StartFailure,
    SubPathMount,
    TmpfsMount,
)

Answer = dict[str, Any]


class Child:
    def __init__(self, launched: Launched, output: dict[str, int], stdin: int) -> None:
        self.launched = launched
        self.output = output
        self.stdin = stdin
        self.read: dict[str, bytes] = dict.fromkeys(output, b"")


class Server:
    def __init__(self, group: str) -> None:
        self.group = cgroup.create(cgroup.mount_point(), group)
        self.children: dict[str, Child] = {}
        self.held: tuple[str, Launched, dict[str, int], tuple[int, int, int] | None]
        launch.enter_private_mounts()

    # -- verbs ---------------------------------------------------------------------------------------------------

    def tmpfs(self, target: str, options: str) -> Answer:
        launch.mount_tmpfs(TmpfsMount(target=Path(target), options=options))
        return {}

    def limit(self, name: str, file: str, value: str) -> Answer:
        """Make a container's cgroup ahead, with the file's controller and this value in it."""
        root = cgroup.mount_point()
        leaf = cgroup.create(root, f"{self.group.relative_to(root)}/{name}", [file.partition(".")[0]])
        cgroup.write(leaf, file, value)
        return {}

    def share(self, target: str) -> Answer:
        """Let later mounts below a mount reach those who have it as a slave."""
        fd = os.open(target, os.O_PATH)
        mount_setattr(fd, propagation=MS_SHARED)
        os.close(fd)
        return {}

    def infra(self, name: str, pause: str | None = None, **fields: Any) -> Answer:
        for key in ("network", "ipc", "pid"):
            if key in fields:
                fields[key] = NamespaceMode(fields[key])
        config = SandboxConfig(uid="uid", name="pod", namespace="default", cgroup="", **fields)
        extra = {"pause": Path(pause)} if pause else {}
        launched = launch.launch_infra(config, cgroup_fd=self._leaf(name), **extra)
        return self._started(name, launched, {}, -1)

    def start(
        self,
        name: str,
        oci: dict[str, Any],
        lower: list[str],
        directory: str,
        subpaths: list[dict[str, str]],
        infra: str,
        hold: bool = False,
    ) -> Answer:
        rootfs = OverlayRootfs(
            lower=tuple(map(Path, lower)), upper=Path(directory, "upper"), work=Path(directory, "work")
        )
        volumes = [
            SubPathMount(volume=Path(s["volume"]), subpath=s["subpath"], target=Path(s["target"]))
            for s in subpaths
        ]
        pod = self.children[infra].launched if infra else None
        near, far = self._pipes(oci["process"])
        launched = launch.launch_container(
            oci,
            rootfs,
            subpaths=volumes,
            cgroup_fd=self._leaf(name),
            stdio=far,
            infra_pid=pod.pid if pod else 0,
            infra_pidfd=pod.pidfd if pod else -1,
            hold=hold,
        )
        if hold:
            self.held = (name, launched, near, far)
            return {"pid": launched.pid}
        return self._launched(name, launched, near, far)

    def proceed(self) -> Answer:
        """Let the container that was started with hold go on."""
        name, launched, near, far = self.held
        sync.proceed(launched.sync_fd)
        return self._launched(name, launched, near, far)

    def exec(self, name: str, container: str, process: dict[str, Any]) -> Answer:
        near, far = self._pipes(process)
        target = self.children[container].launched.pidfd
        launched = launch.launch_exec(process, target, cgroup_fd=self._leaf(container), stdio=far)
        return self._launched(name, launched, near, far)

    def finish(self, name: str) -> Answer:
        """Read all output to its end, then reap."""
        child = self.children[name]
        if child.stdin >= 0:
            os.close(child.stdin)
        while child.output:
            self._read_some(child)
        result = os.waitid(os.P_PIDFD, child.launched.pidfd, os.WEXITED)
        assert result is not None
        os.close(child.launched.pidfd)
        del self.children[name]
        killed = result.si_code != os.CLD_EXITED
        return {
            "code": result.si_status + 128 if killed else result.si_status,
            **{stream: data.decode(errors="replace") for stream, data in child.read.items()},
        }

    def expect(self, name: str, text: str) -> Answer:
        """Read until `text` has come on some stream; an ended output is an error."""
        child = self.children[name]
        while not any(text.encode() in data for data in child.read.values()):
            if not child.output:
                raise EOFError(f"{text!r} never came, but {child.read}")
            self._read_some(child)
        return {stream: data.decode(errors="replace") for stream, data in child.read.items()}

    def write(self, name: str, text: str) -> Answer:
        child = self.children[name]
        os.write(child.stdin if child.stdin >= 0 else child.output["tty"], text.encode())
        return {}

    def kill(self, name: str, signum: int) -> Answer:
        signal.pidfd_send_signal(self.children[name].launched.pidfd, signum)
        return {}

    def mounts(self) -> Answer:
        return {"mountinfo": Path("/proc/self/mountinfo").read_text()}

    # -- the rest ------------------------------------------------------------------------------------------------

    def end(self) -> None:
        cgroup.kill(self.group)
        for child in self.children.values():  # an infra process lives in this process's own cgroup
            signal.pidfd_send_signal(child.launched.pidfd, signal.SIGKILL)
        # Newest first: the init of a pid namespace is not gone before all others in it have been reaped.
        for child in reversed(self.children.values()):
            os.waitid(os.P_PIDFD, child.launched.pidfd, os.WEXITED)
        cgroup.remove(self.group)

    def _leaf(self, name: str) -> int:
        return cgroup.directory_fd(cgroup.create(self.group, name))

    def _pipes(self, process: dict[str, Any]) -> tuple[dict[str, int], tuple[int, int, int] | None]:
        if process.get("terminal"):
            return {}, None
        stdin, stdout, stderr = (os.pipe2(os.O_CLOEXEC) for _ in range(3))
        return {"stdin": stdin[1], "stdout": stdout[0], "stderr": stderr[0]}, (
            stdin[0],
            stdout[1],
            stderr[1],
        )

    def _launched(
        self, name: str, launched: Launched, near: dict[str, int], far: tuple[int, int, int] | None
    ) -> Answer:
        for fd in far or ():
            os.close(fd)
        stdin = near.pop("stdin", -1)
        return self._started(name, launched, near, stdin)

    def _started(self, name: str, launched: Launched, output: dict[str, int], stdin: int) -> Answer:
        """Hear the child out; a failed one is reaped at once."""
        answer: Answer = {"pid": launched.pid, "warnings": [], "failure": None}
        while True:
            select.select([launched.sync_fd], [], [])
            event = sync.receive(launched.sync_fd)
            match event:
                case None:
                    break
                case sync.ConsoleReady(master):
                    output = {"tty": master}
                case sync.StartWarning(text):
                    answer["warnings"].append(text)
                case StartFailure():
                    answer["failure"] = {
                        key: getattr(event, key) for key in ("stage", "errno", "operand", "message")
                    }
        os.close(launched.sync_fd)
        self.children[name] = Child(launched, output, stdin)
        if answer["failure"]:
            answer["code"] = self.finish(name)["code"]
        return answer

    def _read_some(self, child: Child) -> None:
        ready, _, _ = select.select(list(child.output.values()), [], [])
        for stream, fd in list(child.output.items()):
            if fd not in ready:
                continue
            try:
                data = os.read(fd, 65536)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                data = b""
            child.read[stream] = child.read.get(stream, b"") + data
            if not data:
                os.close(fd)
                del child.output[stream]


def main() -> None:
    readonly_exe.ensure()
    server = Server(sys.argv[1])
    try:
        for line in sys.stdin:
            request = json.loads(line)
            verb = getattr(server, request.pop("verb"))
            try:
                answer = verb(**request)
            except StartError as error:
                answer = {
                    "failure": {
                        k: getattr(error.failure, k) for k in ("stage", "errno", "operand", "message")
                    }
                }
            except (OSError, EOFError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), flush=True)
    finally:
        server.end()


main()
