"""Container output as CRI log files: lines framed, long ones split, files rotated, and a full disk survived.

`2026-11-24T10:00:00.123456789Z stdout F text`, tag P for a piece that is not a line's end
(https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md). As containerd does,
a line of more than 16 KiB is cut into pieces of 16 KiB, and output that ends without a newline ends as a piece.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

MAX_LINE = 16 * 1024
MAX_FILE_BYTES = 10 * 1024 * 1024
MAX_FILES = 5

_FILE_MODE = 0o640
_DIRECTORY_MODE = 0o755
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


class Clock:
    """Nanoseconds since the epoch as RFC 3339; the part down to the second is worked out once per second."""

    def __init__(self) -> None:
        self._second = -1
        self._prefix = b""

    def stamp(self, nanoseconds: int) -> bytes:
        second, fraction = divmod(nanoseconds, 1_000_000_000)
        if second != self._second:
            self._second = second
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second)).encode()
        return b"%b%09dZ" % (self._prefix, fraction)


class LineFramer:
    """One stream's bytes into log lines. Whoever feeds it supplies the time."""

    def __init__(self, stream: str) -> None:
        self._stream = stream.encode()
        self._open = b""

    @property
    def pending(self) -> int:
        """Bytes of an unfinished line that are held back; at most MAX_LINE."""
        return len(self._open)

    def feed(self, data: bytes, stamp: bytes) -> bytes:
        """The log lines that `data` completes."""
        if len(self._open) + len(data) <= MAX_LINE and b"\n" not in data:
            self._open += data
            return b""
        full = b"%b %b F " % (stamp, self._stream)
        *lines, self._open = (self._open + data).split(b"\n")
        if all(len(line) <= MAX_LINE for line in lines):
            out = full + (b"\n" + full).join(lines) + b"\n" if lines else b""
        else:
            out = b"".join(self._split(line, stamp) for line in lines)
        if len(self._open) > MAX_LINE:
            out += self._cut_open(stamp)
        return out

    def finish(self, stamp: bytes) -> bytes:
        """The end of the stream: what is held back goes out as a piece."""
        rest, self._open = self._open, b""
        return self._piece(rest, stamp) if rest else b""

    def _split(self, line: bytes, stamp: bytes) -> bytes:
        """A whole line of any length."""
        ends = range(0, max(len(line) - 1, 0) // MAX_LINE * MAX_LINE, MAX_LINE)
        pieces = [self._piece(line[at : at + MAX_LINE], stamp) for at in ends]
        return b"".join(pieces) + b"%b %b F %b\n" % (stamp, self._stream, line[len(pieces) * MAX_LINE :])

    def _cut_open(self, stamp: bytes) -> bytes:
        """Pieces of the unfinished line, keeping back at least one byte for its end."""
        count = (len(self._open) - 1) // MAX_LINE
        pieces = [self._piece(self._open[i * MAX_LINE : (i + 1) * MAX_LINE], stamp) for i in range(count)]
        self._open = self._open[count * MAX_LINE :]
        return b"".join(pieces)

    def _piece(self, text: bytes, stamp: bytes) -> bytes:
        return b"%b %b P %b\n" % (stamp, self._stream, text)


class LogFile:
    """One container attempt's log: PATH, and older parts as PATH.YYYYMMDD-HHMMSS.

    `write` never raises and never blocks on anything but the disk: what cannot be written is counted in `lost`, so
    that the container goes on. Only whole batches are kept, so every line in the file is whole.
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_FILE_BYTES, max_files: int = MAX_FILES) -> None:
        """Opens or makes the file and its directories. Raises OSError."""
        self.path = path
        self.lost = 0
        """Bytes of container output that are not in the log."""
        self.error: OSError | None = None
        """Why the latest write failed; None while writing works."""
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._fd = _open(path)
        self._size = os.fstat(self._fd).st_size

    def write(self, batch: bytes, source_bytes: int) -> None:
        """Append whole log lines that hold `source_bytes` of output."""
        if self._size and self._size + len(batch) > self._max_bytes:
            self._rotate()
        try:
            _write_whole(self._fd, batch)
        except OSError as error:
            self.lost += source_bytes
            self.error = error
        else:
            self._size += len(batch)
            self.error = None

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _rotate(self) -> None:
        """Continue in a fresh file; when none can be made, in the old one, beyond its limit.

        The fresh file is there before the old one leaves its name, so a failure changes nothing.
        """
        fresh = self.path.with_name(self.path.name + ".new")
        try:
            self._prune()
            fd = _open(fresh)
        except OSError:
            return
        try:
            os.rename(self.path, _rotated_name(self.path, time.time_ns()))
            os.rename(fresh, self.path)
        except FileNotFoundError:  # somebody took the log away: start anew all the same
            os.rename(fresh, self.path)
        os.close(self._fd)
        self._fd, self._size = fd, 0

    def _prune(self) -> None:
        """Make room for one more rotated file."""
        rotated = rotated_files(self.path)
        for old in rotated[: max(0, len(rotated) - (self._max_files - 2))]:
            old.unlink(missing_ok=True)


def rotated_files(path: Path) -> list[Path]:
    """The older parts of a log, oldest first."""
    prefix = path.name + "."
    names = [n for n in os.listdir(path.parent) if n.startswith(prefix) and n[len(prefix) :][:8].isdigit()]
    return [path.with_name(name) for name in sorted(names)]


def _rotated_name(path: Path, now: int) -> Path:
    """A name that sorts after those there are: its second, and with nanoseconds when that second has one already."""
    second = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now // 1_000_000_000))
    name = path.with_name(f"{path.name}.{second}")
    taken = any(old.name.startswith(name.name) for old in rotated_files(path))
    return name.with_name(f"{name.name}.{now % 1_000_000_000:09d}") if taken else name


def _open(path: Path) -> int:
    try:
        return os.open(path, _FLAGS, _FILE_MODE)
    except FileNotFoundError:
        old = os.umask(0o022)
        try:
            os.makedirs(path.parent, _DIRECTORY_MODE, exist_ok=True)
        finally:
            os.umask(old)
        return os.open(path, _FLAGS, _FILE_MODE)


def _write_whole(fd: int, data: bytes) -> None:
    """Append all of `data`; on an error the file is as it was before."""
    written = os.write(fd, data)
    try:
        while written < len(data):
            written += os.write(fd, memoryview(data)[written:])
    except OSError:
        os.ftruncate(fd, os.fstat(fd).st_size - written)
        raise
