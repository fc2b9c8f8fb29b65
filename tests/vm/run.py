"""`python -m tests.vm.run`: boot the virtual machine once per phase and run the tests marked `vm` inside it.

What has to survive is on a disk that stays between the phases, so a new phase is a reboot.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.vm import results
from tests.vm.machine import Machine, needs

ROOT = Path(__file__).resolve().parent.parent.parent
PHASES = ("first", "reboot")
NOTHING_COLLECTED = 5
"""pytest's exit status when no test was selected."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--results", type=Path, help="directory for JUnit files and logs")
    parser.add_argument("--phase", action="append", choices=PHASES, help="boot only for these")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for everything")
    parser.add_argument("pytest", nargs="*", help="after --: options for pytest in the machine")
    options = parser.parse_args()
    if lacking := needs():
        print(
            f"vm: not here: {', '.join(lacking)}; run scripts/test-vm.sh, which installs them",
            file=sys.stderr,
        )
        return 1
    with tempfile.TemporaryDirectory(prefix="mptvm", dir="/var/tmp") as directory:
        machine = Machine(directory=Path(directory), checkout=ROOT)
        machine.make_disk()
        machine.pass_on(options.pytest)
        _compile()
        try:
            return _run(machine, options)
        finally:
            if options.results:
                shutil.copytree(machine.out, options.results, dirs_exist_ok=True)


def _run(machine: Machine, options: argparse.Namespace) -> int:
    """The exit status: 0 when the tests of every phase have passed."""
    deadline = time.monotonic() + options.timeout
    worst = 0
    for phase in options.phase or PHASES:
        began = time.monotonic()
        try:
            status = machine.boot(phase, timeout=max(1.0, deadline - began))
        except RuntimeError as error:
            print(f"vm: {error}", file=sys.stderr)
            worst = 1
            break
        finally:
            _show(machine.out / f"{phase}.log")
        found = results.read(machine.out / f"{phase}.xml")
        seconds = time.monotonic() - began
        print(f"vm: phase {phase}: {found or 'no results'}; status {status}, {seconds:.0f} s", flush=True)
        if not found or not found.passed + found.failed + found.skipped:
            # Whoever selects tests by options may select none of a phase.
            status = 0 if options.pytest and status == NOTHING_COLLECTED else status or 1
        worst = worst or status
    return worst


def _compile() -> None:
    """The guest sees these files and keeps nothing it writes: it would compile them anew with every start."""
    for directory in (ROOT / "minipod", ROOT / "tests"):
        subprocess.run([sys.executable, "-m", "compileall", "-q", str(directory)], check=True)


def _show(log: Path) -> None:
    if log.exists():
        print(log.read_text(errors="replace"), end="")


if __name__ == "__main__":
    sys.exit(main())
