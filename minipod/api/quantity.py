"""Kubernetes quantities ("100m", "1.5Gi", "1e3"): exact arithmetic and Kubernetes' canonical text.

A quantity is a Fraction here. As in k8s.io/apimachinery/pkg/api/resource: three suffix families (binary Ki..Ei,
decimal n..E, exponent e3), nothing finer than nano (rounded away from zero), and the canonical text has the
largest suffix that leaves an integer.
"""

from __future__ import annotations

import re
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache

# Kubernetes' own sentence.
FORMAT = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
FORMAT_MESSAGE = f"quantities must match the regular expression '{FORMAT}'"

_PARTS = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(.*)", re.DOTALL)
_EXPONENT = re.compile(r"[eE]([+-]?[0-9]{1,3})")
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL_NAMES = {power: suffix for suffix, power in _DECIMAL.items()}
_BINARY_NAMES = {0: ""} | {power: suffix for suffix, power in _BINARY.items()}
NANO = Fraction(1, 10**9)
MILLI = Fraction(1, 1000)
MAX_LENGTH = 100
LARGEST = Fraction(2**63 - 1)


class Format(StrEnum):
    DECIMAL_SI = "DecimalSI"
    BINARY_SI = "BinarySI"
    DECIMAL_EXPONENT = "DecimalExponent"


def parse(text: str) -> Fraction:
    """Raises ValueError (Kubernetes' sentence) for text that is not a quantity.

    Finer than 1n is rounded up in magnitude; beyond 2^63-1 is capped, as Kubernetes does.
    """
    return _parse(text)[0]


@lru_cache(maxsize=1024)
def canonical(text: str, *, finest: Fraction = NANO) -> str:
    """The one spelling Kubernetes stores: "0.5" -> "500m", "1024Mi" -> "1Gi", rounded up to `finest`.

    Raises ValueError.
    """
    value, family = _parse(text)
    rounded = _ceil(abs(value) / finest) * finest
    return _format(rounded if value >= 0 else -rounded, family)


def from_number(number: int | float) -> str:
    """A JSON or YAML number, which is not NaN or infinite, as a quantity: 0.5 -> "500m", 2 -> "2"."""
    largest = int(LARGEST)
    exact = Decimal(str(min(max(number, -largest), largest)))
    text = format(exact, "f")
    return canonical(text if len(text) <= MAX_LENGTH else str(exact.normalize()))


def format_decimal(value: Fraction | int) -> str:
    """A value in decimal units: Fraction(1, 2) -> "500m"."""
    return _format(_clamped(Fraction(value)), Format.DECIMAL_SI)


def format_binary(value: Fraction | int) -> str:
    """A value in binary units: 1073741824 -> "1Gi"."""
    return _format(_clamped(Fraction(value)), Format.BINARY_SI)


def value(text: str) -> int:
    """The quantity as a whole number, rounded up (bytes of memory). Raises ValueError."""
    return _ceil(parse(text))


def milli_value(text: str) -> int:
    """The quantity in thousandths, rounded up ("1.5" -> 1500). Raises ValueError."""
    return _ceil(parse(text) * 1000)


@lru_cache(maxsize=1024)
def _parse(text: str) -> tuple[Fraction, Format]:
    match = _PARTS.fullmatch(text)
    if match is None or len(text) > MAX_LENGTH:
        raise ValueError(FORMAT_MESSAGE)
    sign, whole, fraction, suffix = match.group(1), match.group(2), match.group(3) or "", match.group(4)
    if not whole and not fraction:
        raise ValueError(FORMAT_MESSAGE)
    number = Fraction(int(whole + fraction), 10 ** len(fraction))
    scale, family = _scale(suffix)
    return _clamped(number * scale * (-1 if sign == "-" else 1)), family


def _scale(suffix: str) -> tuple[Fraction, Format]:
    if suffix in _DECIMAL:
        return Fraction(10) ** _DECIMAL[suffix], Format.DECIMAL_SI
    if suffix in _BINARY:
        return Fraction(2 ** _BINARY[suffix]), Format.BINARY_SI
    exponent = _EXPONENT.fullmatch(suffix)
    if exponent is None:
        raise ValueError(FORMAT_MESSAGE)
    return Fraction(10) ** int(exponent[1]), Format.DECIMAL_EXPONENT


def _clamped(exact: Fraction) -> Fraction:
    if abs(exact) > LARGEST:
        return LARGEST if exact > 0 else -LARGEST
    nanos = _ceil(abs(exact) / NANO)
    return nanos * NANO if exact >= 0 else -nanos * NANO


def _format(exact: Fraction, family: Format) -> str:
    if exact == 0:
        return "0"
    # Binary suffixes cannot say less than 1, and Kubernetes writes small binary quantities in decimal.
    if family is Format.BINARY_SI and (abs(exact) < 1024 or exact.denominator != 1):
        family = Format.DECIMAL_SI
    if family is Format.BINARY_SI:
        return _format_binary(int(exact))
    mantissa, power = _mantissa(exact)
    if family is Format.DECIMAL_EXPONENT:
        return f"{mantissa}e{power}" if power else str(mantissa)
    return f"{mantissa}{_DECIMAL_NAMES[power]}"


def _format_binary(number: int) -> str:
    power = 0
    while number % 1024 == 0 and power < 60:
        number //= 1024
        power += 10
    return f"{number}{_BINARY_NAMES[power]}"


def _mantissa(exact: Fraction) -> tuple[int, int]:
    """The integer and the largest power of 1000 it is multiplied by."""
    power = -9
    number = int(exact / NANO)
    while number % 1000 == 0 and power < 18:
        number //= 1000
        power += 3
    return number, power


def _ceil(exact: Fraction) -> int:
    return -(-exact.numerator // exact.denominator)
