"""The hugetlb controller: bytes of huge pages per page size."""

from __future__ import annotations

import re
from collections.abc import Mapping

_UNITS = {"KB": 1, "MB": 1 << 10, "GB": 1 << 20}


def files(limits: Mapping[str, int]) -> dict[str, str]:
    """cgroup file -> value, from page size ("2MB", "1GB", as the kernel and the OCI runtime-spec write it) -> bytes.

    Both limits are set: the usage one and the reservation one, which refuses mmap instead of killing at first touch.
    """
    values = {}
    for size, limit in limits.items():
        page_kilobytes(size)
        values[f"hugetlb.{size}.max"] = str(limit)
        values[f"hugetlb.{size}.rsvd.max"] = str(limit)
    return values


def page_kilobytes(size: str) -> int:
    """2048 for "2MB". Raises ValueError for what is not a page size."""
    match = re.fullmatch(r"([1-9][0-9]*)(KB|MB|GB)", size)
    if match is None:
        raise ValueError(f"not a huge page size: {size!r} (expected e.g. 2MB)")
    return int(match[1]) * _UNITS[match[2]]
