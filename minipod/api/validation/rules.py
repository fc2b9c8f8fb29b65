"""Small rules many fields share: one of a set, not negative, a relative path, an IP address, a quantity."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Sequence

from minipod.api import names, quantity
from minipod.api.field_errors import FieldError, invalid, invalids, not_supported, required

NOT_NEGATIVE = "must be greater than or equal to 0"
FILE_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
LARGEST_INT32 = 2**31 - 1

Errors = Iterator[FieldError]


def one_of(path: str, value: str | None, supported: Sequence[str], *, optional: bool = False) -> Errors:
    """`value` must be among `supported`; when absent it is required unless `optional`."""
    if not value:
        if not optional:
            yield required(path)
    elif value not in supported:
        yield not_supported(path, value, supported)


def named(path: str, value: str | None, check: Callable[[str], list[str]]) -> Errors:
    """A required name that `check` (of names.py) must accept."""
    if not value:
        yield required(path)
    else:
        yield from invalids(path, value, check(value))


def optionally_named(path: str, value: str | None, check: Callable[[str], list[str]]) -> Errors:
    if value:
        yield from invalids(path, value, check(value))


def not_negative(path: str, number: int | None) -> Errors:
    if number is not None and number < 0:
        yield invalid(path, number, NOT_NEGATIVE)


def user_or_group(path: str, number: int | None) -> Errors:
    if number is not None:
        yield from invalids(path, number, names.user_or_group_id(number))


def ip_address(path: str, text: str | None) -> Errors:
    try:
        ipaddress.ip_address(text or "")
        usable = "%" not in (text or "")
    except ValueError:
        usable = False
    if not usable:
        yield invalid(path, text or "", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")


def file_mode(path: str, mode: int | None) -> Errors:
    if mode is not None and not 0 <= mode <= 0o777:
        yield invalid(path, mode, FILE_MODE)


def no_backsteps(path: str, text: str) -> Errors:
    if ".." in text.split("/"):
        yield invalid(path, text, "must not contain '..'")


def descending_path(path: str, text: str) -> Errors:
    """A relative path that never leaves its directory."""
    if text.startswith("/"):
        yield invalid(path, text, "must be a relative path")
    yield from no_backsteps(path, text)


def unreserved_path(path: str, text: str) -> Errors:
    """A descending path of a file in a volume: names in `..` are the volume's own."""
    yield from descending_path(path, text)
    if text.startswith("..") and not text.startswith("../"):
        yield invalid(path, text, "must not start with '..'")


def no_nul(path: str, text: str | None) -> Errors:
    """The kernel ends every string at a NUL byte: text with one inside would be silently cut."""
    if text and "\0" in text:
        yield invalid(path, text, "must not contain NUL characters")


def port_number_or_name(path: str, port: int | str) -> Errors:
    check = names.port_number(port) if isinstance(port, int) else names.port_name(port)
    yield from invalids(path, port, check)


def readable_quantity(path: str, text: str) -> Errors:
    """A quantity that parses and is not negative."""
    try:
        amount = quantity.parse(text)
    except ValueError as error:
        yield invalid(path, text, str(error))
        return
    if amount < 0:
        yield invalid(path, text, NOT_NEGATIVE)
