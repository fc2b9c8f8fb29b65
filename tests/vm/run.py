"""`python -m tests.vm.run`: boot virtual machines, once per phase, and run the tests marked `vm` inside.

What has to survive is on a disk that stays between the phases of a machine, so a new phase is a reboot.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.vm import results
from tests.vm.machine import Machine, needs, prepare

ROOT = Path(__file__).resolve().parent.parent.parent
MACHINES = (("first", "reboot"), ("node",))
"""The phases of each machine, one boot after the other. Machines run beside each other: a guest that waits for its
interpreter keeps one processor busy."""
NOTHING_COLLECTED = 5
"""pytest's exit status when no test was selected."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--results", type=Path, help="directory for JUnit files and logs")
    parser.add_argument(
        "--phase",
        action="append",
        choices=[phase for phases in MACHINES for phase in phases],
        help="boot only for these",
    )
    parser.add_argument("--timeout", type=float, default=900, help="seconds for everything")
    parser.add_argument("pytest", nargs="*", help="after --: options for pytest in the machine")
    options = parser.parse_args()
    if lacking := needs():
        print(
            f"vm: not here: {', '.join(lacking)}; run scripts/test-vm.sh, which installs them",
            file=sys.stderr,
        )
        return 1
    wanted = options.phase or [phase for phases in MACHINES for phase in phases]
    lives = [chosen for phases in MACHINES if (chosen := [phase for phase in phases if phase in wanted])]
    deadline = time.monotonic() + options.timeout
    _compile()
    prepare(ROOT)
    with ThreadPoolExecutor(len(lives)) as threads:
        return max(threads.map(lambda phases: _run(phases, options, deadline), lives))


def _run(phases: Sequence[str], options: argparse.Namespace, deadline: float) -> int:
    """One machine, booted once for each phase. The exit status: 0 when the tests of all have passed."""
    with tempfile.TemporaryDirectory(prefix="mptvm", dir="/var/tmp") as directory:
        machine = Machine(directory=Path(directory), checkout=ROOT)
        machine.make_disk()
        machine.pass_on(options.pytest)
        try:
            return max(_boot(machine, phase, options, deadline) for phase in phases)
        except RuntimeError as error:
            print(f"vm: {error}", file=sys.stderr)
            return 1
        finally:
            if options.results:
                shutil.copytree(machine.out, options.results, dirs_exist_ok=True)


def _boot(machine: Machine, phase: str, options: argparse.Namespace, deadline: float) -> int:
    """Raises RuntimeError when the machine did not say how its tests ended."""
    began = time.monotonic()
    try:
        status = machine.boot(phase, timeout=max(1.0, deadline - began))
    finally:
        log = machine.out / f"{phase}.log"
        text = log.read_text(errors="replace") if log.exists() else ""
        found = results.read(machine.out / f"{phase}.xml")
        seconds = time.monotonic() - began
        print(f"{text}vm: phase {phase}: {found or 'no results'}; {seconds:.0f} s", flush=True)
    if found is None or not found.passed + found.failed + found.skipped:
        # Whoever selects tests by options may select none of a phase.
        return 0 if options.pytest and status == NOTHING_COLLECTED else status or 1
    return status


def _compile() -> None:
    """The guest sees these files and keeps nothing it writes: it would compile them anew with every start."""
    for directory in (ROOT / "minipod", ROOT / "tests"):
        subprocess.run([sys.executable, "-m", "compileall", "-q", str(directory)], check=True)


if __name__ == "__main__":
    sys.exit(main())
