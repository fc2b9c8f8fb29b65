"""Quantities: the canonical text Kubernetes stores, and exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipod.api import quantity

CANONICAL = [
    ("0", "0"),
    ("0Ki", "0"),
    ("-0", "0"),
    ("1", "1"),
    ("+1", "1"),
    ("0.5", "500m"),
    (".5", "500m"),
    ("5.", "5"),
    ("1.5", "1500m"),
    ("100m", "100m"),
    ("1000m", "1"),
    ("1000", "1k"),
    ("1001", "1001"),
    ("1000000", "1M"),
    ("1.0005", "1000500u"),
    ("0.001", "1m"),
    ("1024Mi", "1Gi"),
    ("1.5Gi", "1536Mi"),
    ("0.5Ki", "512"),
    ("1000Ki", "1000Ki"),
    ("1023", "1023"),
    ("0.1Gi", "107374182400m"),
    ("1e3", "1e3"),
    ("12E6", "12e6"),
    ("1000e0", "1e3"),
    ("1e-3", "1e-3"),
    ("1E", "1E"),
    ("-1.5Gi", "-1536Mi"),
    ("0.0000000001", "1n"),
    ("-0.0000000001", "-1n"),
    ("1.0000000001", "1000000001n"),
    ("9999999999999999999999", "9223372036854775807"),
]


@pytest.mark.parametrize(("text", "expected"), CANONICAL)
def test_canonical_form(text: str, expected: str) -> None:
    assert quantity.canonical(text) == expected
    assert quantity.canonical(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1 ",
        " 1",
        "lots",
        "1e",
        "1ee3",
        "1GiB",
        "1gi",
        "1KI",
        "--1",
        "1.2.3",
        ".",
        "-",
        "1,5",
        "٣",
        "1\n",
        "1e9999",
    ],
)
def test_what_is_no_quantity_is_refused_in_kubernetes_words(text: str) -> None:
    with pytest.raises(ValueError, match="quantities must match the regular expression"):
        quantity.parse(text)


def test_a_hostile_length_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="quantities must match"):
        quantity.parse("9" * 1_000_000)


def test_whole_and_milli_values_round_up() -> None:
    assert quantity.value("1.1") == 2
    assert quantity.value("1Gi") == 2**30
    assert quantity.value("-1.9") == -1
    assert quantity.milli_value("0.1234") == 124
    assert quantity.milli_value("2") == 2000


def test_rounding_to_thousandths() -> None:
    assert quantity.canonical("0.0001", finest=quantity.MILLI) == "1m"
    assert quantity.canonical("1.5", finest=quantity.MILLI) == "1500m"


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1, "1"),
        (0.1, "100m"),
        (1e-7, "100n"),
        (1e21, "9223372036854775807"),
        (128974848, "128974848"),
        (1e300, "9223372036854775807"),
        (-1e300, "-9223372036854775807"),
        (1e-300, "1e-9"),
        pytest.param(10**5000, "9223372036854775807", id="5001 digits"),
    ],
)
def test_numbers_become_text(number: float, expected: str) -> None:
    assert quantity.from_number(number) == expected


_SUFFIXES = ["", "n", "u", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "e3", "E-3", "e+2"]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["", "-", "+"]),
    st.integers(0, 10**9),
    st.text("0123456789", max_size=6),
    st.sampled_from(_SUFFIXES),
)
def test_the_canonical_form_is_the_same_amount_and_stable(
    sign: str, whole: int, rest: str, suffix: str
) -> None:
    text = f"{sign}{whole}.{rest}{suffix}" if rest else f"{sign}{whole}{suffix}"
    canonical = quantity.canonical(text)
    assert quantity.parse(canonical) == quantity.parse(text)
    assert quantity.canonical(canonical) == canonical
    assert "." not in canonical


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**62))
def test_formatting_whole_numbers_loses_nothing(number: int) -> None:
    assert quantity.parse(quantity.format_binary(number)) == number
    assert quantity.parse(quantity.format_decimal(number)) == number


@settings(max_examples=100, deadline=None)
@given(st.fractions(0, 10**6, max_denominator=1000))
def test_formatting_fractions_is_exact_to_a_nano(amount: Fraction) -> None:
    assert 0 <= quantity.parse(quantity.format_decimal(amount)) - amount < Fraction(1, 10**9)
