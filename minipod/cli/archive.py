"""A directory as a tar stream, for `image build-rootfs DIR`: owners, modes, links, devices and xattrs as they are.

GNU tar does it better than Python's tarfile, which keeps no extended attributes, and it is on every Debian host.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from minipod.cli.errors import CommandError


@contextmanager
def tar_of(directory: Path) -> Iterator[BinaryIO]:
    """The stream of `tar -c`; leaving the block checks that tar was content. Raises CommandError."""
    command = ["tar", "--create", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--sort=name"]
    command += ["--format=posix", "--one-file-system", "--directory", str(directory), "."]
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except OSError as error:
        raise CommandError(
            f"cannot run tar to read {directory}: {error.strerror} (apt install tar)"
        ) from error
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        yield process.stdout  # type: ignore[misc]
        problem = process.stderr.read().decode(errors="replace").strip()
        if process.wait() != 0:
            raise CommandError(f"tar could not read all of {directory}: {problem}")
    finally:
        process.stdout.close()
        if process.poll() is None:
            process.kill()
        process.stderr.close()
        process.wait()
