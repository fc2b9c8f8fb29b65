"""How much the out-of-memory killer prefers the caller: proc_pid_oom_score_adj(5)."""

from __future__ import annotations

import os


def set_own(value: int) -> bool:
    """From -1000 (never) to 1000 (first); what is born later inherits it. False where it may not be set so low.

    Lowering it needs CAP_SYS_RESOURCE.
    """
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, b"%d" % value)
    except PermissionError:
        return False
    finally:
        os.close(fd)
    return True
