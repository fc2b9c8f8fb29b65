"""Kubernetes' two kinds of time on the wire, and the microseconds the node side counts in.

metav1.Time is RFC 3339 in UTC with whole seconds ("2026-01-02T03:04:05Z"), metav1.MicroTime has exactly six
decimals. Reading accepts any RFC 3339 offset and fraction.
"""

from __future__ import annotations

import re
import time
from datetime import date

MICROSECONDS = 1_000_000

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))"
)
_UNIX_DAY = date(1970, 1, 1).toordinal()


def now() -> str:
    """The current time as metav1.Time."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def now_micro() -> str:
    """The current time as metav1.MicroTime."""
    return _micro(time.time_ns() // 1000)


def from_epoch_us(microseconds: int) -> str:
    """Microseconds since 1970 -> metav1.Time (the fraction is cut off, as Kubernetes does)."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(microseconds // MICROSECONDS))


def micro_from_epoch_us(microseconds: int) -> str:
    """Microseconds since 1970 -> metav1.MicroTime."""
    return _micro(microseconds)


def to_epoch_us(text: str | None) -> int:
    """RFC 3339 text -> microseconds since 1970; 0 for None and "".

    Raises ValueError for text that is not RFC 3339. A day past the month's end counts on into the next month,
    so whatever the object types let in has an answer here.
    """
    if not text:
        return 0
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an RFC 3339 time such as 2026-01-02T03:04:05Z")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    days = date(year, month, 1).toordinal() + day - 1 - _UNIX_DAY
    seconds = days * 86400 + hour * 3600 + minute * 60 + second
    if match[8] is None:
        offset = int(match[10]) * 3600 + int(match[11]) * 60
        seconds -= offset if match[9] == "+" else -offset
    return seconds * MICROSECONDS + int((match[7] or "0")[:6].ljust(6, "0"))


def _micro(microseconds: int) -> str:
    seconds, fraction = divmod(microseconds, MICROSECONDS)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{fraction:06d}Z"
