"""Kubernetes' times and epoch microseconds."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipod.api import timestamps
from minipod.api.meta_v1 import MicroTime, Time


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        (None, 0),
        ("", 0),
        ("1970-01-01T00:00:00Z", 0),
        ("2026-01-02T03:04:05Z", 1767323045_000000),
        ("2026-01-02T03:04:05.5Z", 1767323045_500000),
        ("2026-01-02T03:04:05.123456789Z", 1767323045_123456),
        ("2026-01-02T04:04:05+01:00", 1767323045_000000),
        ("2026-01-01T22:34:05-04:30", 1767323045_000000),
        ("1969-12-31T23:59:59Z", -1_000000),
        ("2026-02-31T00:00:00Z", 1772496000_000000),
    ],
)
def test_reading(text: str | None, microseconds: int) -> None:
    assert timestamps.to_epoch_us(text) == microseconds


@pytest.mark.parametrize(
    "text", ["now", "2026-01-02", "2026-01-02 03:04:05Z", "2026-01-02T03:04:05", "2026-13-01T00:00:00Z"]
)
def test_text_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        timestamps.to_epoch_us(text)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**52))
def test_writing_and_reading_back(microseconds: int) -> None:
    whole = microseconds // 1_000_000 * 1_000_000
    assert timestamps.to_epoch_us(timestamps.from_epoch_us(microseconds)) == whole
    assert timestamps.to_epoch_us(timestamps.micro_from_epoch_us(microseconds)) == microseconds


@settings(max_examples=200, deadline=None)
@given(
    st.from_regex(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,12})?(Z|[+-][0-9]{2}:[0-9]{2})",
        fullmatch=True,
    )
)
def test_every_time_the_object_types_let_in_has_an_answer(text: str) -> None:
    try:
        msgspec.convert(text, Time)
    except msgspec.ValidationError:
        return
    assert isinstance(timestamps.to_epoch_us(text), int)


def test_a_trailing_newline_is_no_time() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert("2026-01-02T03:04:05Z\n", MicroTime)


def test_now() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", timestamps.now())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", timestamps.now_micro())
