"""The kernel's log as it is written, and what it says of processes killed for want of memory.

https://docs.kernel.org/admin-guide/abi-testing.html (dev-kmsg). No other interface names the victims, nor tells of a
kill that no cgroup's limit is behind.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

KMSG = "/dev/kmsg"
_MAX_RECORD = 8192

_OOM = re.compile(
    r"oom-kill:constraint=.*?(?:,oom_memcg=(?P<limit>[^,]*)|,global_oom)"
    r",task_memcg=(?P<group>[^,]*),task=(?P<name>.{1,15}),pid=(?P<pid>\d+),uid=\d+$"
)


@dataclass(frozen=True, slots=True)
class OomKill:
    """A process the kernel has chosen to kill. Groups are paths from the root of the memory controller's hierarchy."""

    process: str
    pid: int
    group: str
    """Where the process is."""
    limit: str
    """The group whose limit was hit; "" when the whole machine is out of memory."""


class KernelLog:
    """A descriptor of the log, at its end. Raises OSError where reading it is not permitted (CAP_SYSLOG)."""

    def __init__(self, path: str = KMSG) -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.lseek(self.fd, 0, os.SEEK_END)

    def messages(self, at_most: int) -> Iterator[str]:
        """What the kernel itself has written since; ends when there is no more. Never blocks."""
        for _ in range(at_most):
            try:
                record = os.read(self.fd, _MAX_RECORD)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.EPIPE:
                    raise
                continue  # records were overwritten before they were read
            if (message := kernel_message(record.decode(errors="replace"))) is not None:
                yield message

    def close(self) -> None:
        os.close(self.fd)


def kernel_message(record: str) -> str | None:
    """The text of a record, None for one that a process has written: those have another facility, whatever they say."""
    head, _, rest = record.partition(";")
    priority = head.partition(",")[0]
    if not priority.isdecimal() or int(priority) >> 3:
        return None
    return rest.partition("\n")[0]


def oom_kill(message: str) -> OomKill | None:
    """What a line of the log says, if it is the summary of an out-of-memory kill (Linux 4.19 and later).

    The process's name is its own choice: whatever looks like fields in it is taken to be its name. The kernel begins a
    line with the summary; within others (an audit record) it is quoted from a process.
    """
    found = _OOM.match(message)
    if found is None:
        return None
    return OomKill(found["name"], int(found["pid"]), found["group"], found["limit"] or "")
