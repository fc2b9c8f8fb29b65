"""Times on the command line and in columns: Go's "1h30m" in, kubectl's "5m12s" out."""

from __future__ import annotations

import re

from minipod.cli.errors import CommandError

UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)")

MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 365 * 86400


def parse_duration(text: str, flag: str) -> float:
    """Seconds in a duration such as "1h30m", "20s", "-1s"; a bare number is seconds. `flag` is named in the error."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if re.fullmatch(r"\d+(\.\d+)?", rest):
        return sign * float(rest)
    parts = PART.findall(rest)
    if not parts or "".join(number + unit for number, unit in parts) != rest:
        raise CommandError(f'invalid time "{text}" for {flag}: expected one such as "20s", "5m" or "1h30m"')
    return sign * sum(float(number) * UNITS[unit] for number, unit in parts)


def human_duration(seconds: float) -> str:
    """About two figures of precision, as the AGE column has it: 12s, 2m5s, 34m, 5h3m, 2d4h, 13d, 3y40d."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 2 * MINUTE:
        return f"{max(whole, 0)}s"
    if whole < 10 * MINUTE:
        return _two(whole, MINUTE, "m", 1, "s")
    if whole < 3 * HOUR:
        return f"{whole // MINUTE}m"
    if whole < 8 * HOUR:
        return _two(whole, HOUR, "h", MINUTE, "m")
    if whole < 2 * DAY:
        return f"{whole // HOUR}h"
    if whole < 8 * DAY:
        return _two(whole, DAY, "d", HOUR, "h")
    if whole < 2 * YEAR:
        return f"{whole // DAY}d"
    if whole < 8 * YEAR:
        return _two(whole, YEAR, "y", DAY, "d")
    return f"{whole // YEAR}y"


def _two(seconds: int, large: int, large_unit: str, small: int, small_unit: str) -> str:
    rest = seconds % large // small
    return f"{seconds // large}{large_unit}" + (f"{rest}{small_unit}" if rest else "")
