"""`python -m minipod.pki DIRECTORY NAME...`: have a fresh serving certificate; prints when to come back (Unix time)."""

from __future__ import annotations

import sys
from pathlib import Path

from minipod.pki.directory import PkiDirectory, PkiError


def main(directory: str, *names: str) -> int:
    try:
        print(PkiDirectory(Path(directory)).ensure_serving(names).timestamp())
    except (PkiError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
