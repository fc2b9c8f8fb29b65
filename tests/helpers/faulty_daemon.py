"""The daemon with fault-injection points: `python -m tests.helpers.faulty_daemon STEPS_FILE daemon ...`.

At each step of a pod's life (STEPS below) the wrapper looks whether the file holds "STEP WHEN VICTIM" for it; if so it
writes "fired" there and kills the victim: daemon, spawner, or the shim or infra process of the pod in question. The
program itself knows nothing of this.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEPS = {
    "sandbox": "minipod.kubelet.pods.sandbox:PodSandbox.create",
    "volumes": "minipod.kubelet.volumes.manager:set_up_volumes",
    "run-sandbox": "minipod.runtime.service:RuntimeService.run_sandbox",
    "network": "minipod.network.pod_network:PodNetwork.attach",
    "create": "minipod.runtime.service:RuntimeService.create_container",
    "start": "minipod.runtime.service:RuntimeService.start_container",
    "post-start": "minipod.kubelet.pods.hooks:Hooks._run_post_start",
    "pre-stop": "minipod.kubelet.pods.hooks:Hooks._run_pre_stop",
    "status": "minipod.kubelet.status.manager:StatusManager._write_one",
    "signal": "minipod.runtime.service:RuntimeService.signal_container",
    "finish": "minipod.kubelet.pods.finisher:Finisher.finish",
    "detach": "minipod.network.pod_network:PodNetwork.detach",
    "remove-sandbox": "minipod.runtime.service:RuntimeService.remove_sandbox",
    "delete": "minipod.kubelet.pods.finisher:Finisher._delete_from_api",
}
"""Step -> what carries it out."""


class Faults:
    def __init__(self, file: Path, run_dir: Path) -> None:
        self._file = file
        self._run_dir = run_dir
        self._counts: dict[str, int] = {}

    def install(self) -> None:
        for step, where in STEPS.items():
            module, _, path = where.partition(":")
            owner: Any = importlib.import_module(module)
            *outer, name = path.split(".")
            for part in outer:
                owner = getattr(owner, part)
            setattr(owner, name, self._wrap(step, getattr(owner, name)))

    def _wrap(self, step: str, real: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(real):

            @functools.wraps(real)
            async def asynchronous(*args: Any, **kwargs: Any) -> Any:
                self._strike(step, "before")
                answer = await real(*args, **kwargs)
                self._strike(step, "after")
                return answer

            return asynchronous

        @functools.wraps(real)
        def synchronous(*args: Any, **kwargs: Any) -> Any:
            self._strike(step, "before")
            answer = real(*args, **kwargs)
            self._strike(step, "after")
            return answer

        return synchronous

    def _strike(self, step: str, when: str) -> None:
        try:
            armed = json.loads(self._file.read_text())
        except (FileNotFoundError, ValueError):
            return
        if (armed["step"], armed["when"]) != (step, when):
            return
        if armed["skip"]:
            armed["skip"] -= 1
            self._file.write_text(json.dumps(armed))
            return
        pids = self._pids(armed["victim"])
        if not pids:
            return  # not there (any more) at this moment; the next pass may find it
        self._file.write_text("")
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def _pids(self, victim: str) -> list[int]:
        if victim == "daemon":
            return [os.getpid()]
        if victim == "spawner":
            return _spawners(os.getpid())
        found = []
        for path in self._run_dir.glob("pods/*/sandbox.json"):
            record = json.loads(path.read_text()).get(victim)
            if record:
                found.append(record["pid"])
        return found


def _spawners(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


def main() -> None:
    file, *args = sys.argv[1:]
    run_dir = Path(args[args.index("--run-dir") + 1])
    Faults(Path(file), run_dir).install()
    sys.argv = ["minipod", *args]
    from minipod.cli.main import main as minipod

    minipod()


if __name__ == "__main__":
    main()
