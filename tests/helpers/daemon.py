"""A real minipod daemon in a network namespace of its own, below one directory and one unique word.

The namespace is held by a small process, so that it outlives the daemon: kill -9, start again, and everything on
the network is as it was. That is what makes tests (and the benchmark) independent of each other and of the host.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any

from minipod.api.errors import StatusError
from minipod.client.http import ApiClient, ApiUnreachableError
from tests.helpers.wait import wait_until

PROJECT = Path(__file__).parent.parent.parent
POD_CIDR = "10.77.0.0/24"
READY_TIMEOUT = 30.0


class Daemon:
    """One node. `flags` are further daemon flags without dashes, as in `crash_loop_initial="100ms"`."""

    def __init__(self, workdir: Path, word: str, **flags: str) -> None:
        self.workdir = workdir
        self.word = word
        self.node = f"{word}-node"
        self.flags = {
            "data-dir": str(workdir / "data"),
            "run-dir": str(workdir / "run"),
            "log-dir": str(workdir / "log"),
            "manifest-dir": str(workdir / "manifests"),
            "bridge": word,
            "nft-table": word,
            "cgroup-parent": word,
            "pod-cidr": POD_CIDR,
            "node-name": self.node,
            **{name.replace("_", "-"): value for name, value in flags.items()},
        }
        self.faults: Path | None = None
        """When set, the daemon runs with fault-injection points that obey this file: see faulty_daemon.py."""
        self.process: subprocess.Popen[bytes] | None = None
        self._netns: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.workdir / "run" / "minipod.sock"

    @property
    def log(self) -> str:
        """What the daemon has logged so far."""
        path = self.workdir / "daemon.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    # -- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the daemon and wait until it serves."""
        self.spawn()
        wait_until(self._ready, READY_TIMEOUT, lambda: f"the daemon to serve; its log:\n{self.log[-4000:]}")

    def spawn(self) -> None:
        """Start the daemon's process."""
        if self._netns is None:
            self._netns = _hold_netns()
        program = ["tests.helpers.faulty_daemon", str(self.faults)] if self.faults else ["minipod"]
        argv = [sys.executable, "-m", *program, "daemon"]
        argv += [part for name, value in self.flags.items() for part in (f"--{name}", value)]
        with (self.workdir / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self._enter(), *argv], cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self, signum: int = signal.SIGKILL) -> None:
        """End the daemon alone, by default as a crash would, and reap it."""
        assert self.process is not None
        self.process.send_signal(signum)
        self.process.wait(timeout=30)
        self.process = None

    def restart(self) -> None:
        """kill -9, start again."""
        self.kill()
        self.start()

    def purge(self) -> None:
        """Take everything away, as a user would."""
        if self.process is not None:
            self.kill(signal.SIGTERM)
        names = ("data-dir", "run-dir", "log-dir", "bridge", "nft-table", "cgroup-parent", "pod-cidr")
        argv = [part for name in names for part in (f"--{name}", self.flags[name])]
        done = self.enter(sys.executable, "-m", "minipod", "purge", "--yes", *argv, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def end(self) -> None:
        """Purge, and give the network namespace back."""
        try:
            if self._netns is not None:
                self.purge()
        finally:
            if self.process is not None:
                self.kill()
            if self._netns is not None:
                self._netns.kill()
                self._netns.wait()
                self._netns = None

    def _ready(self) -> bool:
        assert self.process is not None
        code = self.process.poll()
        assert code is None, f"the daemon ended with {code}:\n{self.log[-4000:]}"
        if not self.socket.exists():
            return False
        try:
            with ApiClient(str(self.socket)) as client:
                client.request("GET", "/readyz")
        except (OSError, HTTPException, ApiUnreachableError, StatusError):
            return False
        return True

    # -- talking to it -------------------------------------------------------------------------------------------

    def cli(
        self, *args: str, stdin: str | None = None, check: bool = True, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run `minipod ARGS`; with check, a non-zero exit fails the test with what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "minipod", "--socket", str(self.socket), *args],
            cwd=PROJECT,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"minipod {' '.join(args)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
                f"\ndaemon's log:\n{self.log[-3000:]}"
            )
        return done

    def out(self, *args: str, **options: Any) -> str:
        """What `minipod ARGS` printed on standard output."""
        return self.cli(*args, **options).stdout

    def apply(self, *manifests: Mapping[str, Any] | str) -> subprocess.CompletedProcess[str]:
        """Apply manifests given as dicts or YAML text."""
        text = "\n---\n".join(m if isinstance(m, str) else json.dumps(m) for m in manifests)
        return self.cli("apply", "-f", "-", stdin=text)

    def get(self, *args: str) -> dict[str, Any]:
        """One object or list, as JSON."""
        found: dict[str, Any] = json.loads(self.out("get", *args, "-o", "json"))
        return found

    def pod(self, name: str, namespace: str = "default") -> dict[str, Any]:
        return self.get("pod", name, "-n", namespace)

    def wait_pod(self, name: str, condition: str = "Ready", timeout: float = 30.0) -> dict[str, Any]:
        """Wait for a condition of a pod, by watch."""
        self.cli("wait", f"--for=condition={condition}", f"pod/{name}", f"--timeout={timeout:g}s")
        return self.pod(name)

    def wait_phase(self, name: str, phase: str, timeout: float = 30.0) -> dict[str, Any]:
        self.cli(
            "wait", f"--for=jsonpath={{.status.phase}}={phase}", f"pod/{name}", f"--timeout={timeout:g}s"
        )
        return self.pod(name)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events about one pod."""
        items: list[dict[str, Any]] = self.get("events")["items"]
        return [e for e in items if e["involvedObject"].get("name") == name]

    # -- its machine ---------------------------------------------------------------------------------------------

    def enter(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the node's network namespace: what a user on the node's shell would see."""
        return subprocess.run(
            [*self._enter(), *argv], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=check
        )

    def inside(self, *argv: str) -> list[str]:
        """The command line that runs a command in the node's network namespace."""
        return [*self._enter(), *argv]

    def import_base(self) -> None:
        """Give the node the image minipod/base."""
        tar = base_tar()
        self.cli("image", "build-rootfs", str(tar), "minipod/base")

    def _enter(self) -> list[str]:
        assert self._netns is not None
        return ["nsenter", f"--net=/proc/{self._netns.pid}/ns/net", "--"]


def base_tar() -> Path:
    """The base image's root as a tar, made once."""
    tar = PROJECT / ".venv" / "minipod-base.tar"
    if not tar.exists():
        fresh = tar.with_suffix(f".{os.getpid()}")
        subprocess.run([PROJECT / "rootfs" / "build.sh", fresh], check=True, capture_output=True)
        fresh.rename(tar)
    return tar


@contextlib.contextmanager
def running(workdir: Path, word: str, *, base: bool = True, **flags: str) -> Iterator[Daemon]:
    """A daemon that serves, with the base image, and is purged afterwards."""
    daemon = Daemon(workdir, word, **flags)
    try:
        daemon.start()
        if base:
            daemon.import_base()
        yield daemon
    finally:
        daemon.end()


def _hold_netns() -> subprocess.Popen[bytes]:
    holder = subprocess.Popen(
        ["unshare", "--net", "--", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"],
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"up\n"
    holder.stdout.close()
    return holder
