"""`python -m tests.vm.run`: boot the virtual machine once per phase and run the tests marked `vm` inside it.

What has to survive is on a disk that stays between the phases, so a new phase is a reboot.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

from tests.vm.machine import Machine, needs

ROOT = Path(__file__).resolve().parent.parent.parent
PHASES = ("first", "reboot")


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
    deadline = time.monotonic() + options.timeout
    worst = 0
    with tempfile.TemporaryDirectory(prefix="mptvm", dir="/var/tmp") as directory:
        machine = Machine(directory=Path(directory), checkout=ROOT)
        machine.make_disk()
        machine.pass_on(options.pytest)
        for phase in options.phase or PHASES:
            began = time.monotonic()
            try:
                status = machine.boot(phase, timeout=max(1.0, deadline - began))
            finally:
                _show(machine.out / f"{phase}.log")
            worst = worst or status
            print(f"vm: phase {phase}: {_summary(machine.out / f'{phase}.xml')}, status {status}, ", end="")
            print(f"{time.monotonic() - began:.0f} s", flush=True)
        if options.results:
            shutil.copytree(machine.out, options.results, dirs_exist_ok=True)
    return worst


def _show(log: Path) -> None:
    if log.exists():
        print(log.read_text(errors="replace"), end="")


def _summary(junit: Path) -> str:
    try:
        suite = ElementTree.parse(junit).getroot().find("testsuite")
    except (FileNotFoundError, ElementTree.ParseError):
        return "no results"
    if suite is None:
        return "no results"
    count = {name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
    passed = count["tests"] - count["failures"] - count["errors"] - count["skipped"]
    return f"{passed} passed, {count['failures'] + count['errors']} failed, {count['skipped']} skipped"


if __name__ == "__main__":
    sys.exit(main())
