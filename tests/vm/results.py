"""What JUnit files tell, in one line as pytest ends with it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree


@dataclass(frozen=True, slots=True)
class Results:
    """Tests by how they ended; `seconds` of all together."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0

    def __add__(self, other: Results) -> Results:
        return Results(
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
            self.seconds + other.seconds,
        )

    def __str__(self) -> str:
        counts = (("failed", self.failed), ("passed", self.passed), ("skipped", self.skipped))
        said = ", ".join(f"{number} {word}" for word, number in counts if number)
        return f"{said or 'no tests ran'} in {self.seconds:.2f}s"


def read(junit: Path) -> Results | None:
    """None when there is no such file, or it was cut off."""
    try:
        suites = ElementTree.parse(junit).getroot().iter("testsuite")
    except (FileNotFoundError, ElementTree.ParseError):
        return None
    total = Results()
    for suite in suites:
        number = {name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
        failed = number["failures"] + number["errors"]
        passed = number["tests"] - failed - number["skipped"]
        total += Results(passed, failed, number["skipped"], float(suite.get("time", "0")))
    return total


def main(files: Iterable[str]) -> int:
    """Print one line per file and one for all; 1 when a file is missing or a test has failed."""
    total, complete = Results(), True
    for name in files:
        found = read(Path(name))
        print(f"{Path(name).stem}: {found or 'no results'}")
        total += found or Results()
        complete &= found is not None
    print(f"===== {total} =====")
    return 0 if complete and not total.failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
