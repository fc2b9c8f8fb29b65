from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipod.linux import capabilities


def test_bits_are_the_kernels_numbers() -> None:
    assert capabilities.to_bits(["CAP_CHOWN"]) == 1
    assert capabilities.to_bits(["CAP_SYS_ADMIN"]) == 1 << 21
    assert capabilities.to_bits(["CAP_CHECKPOINT_RESTORE", "CAP_KILL"]) == 1 << 40 | 1 << 5
    assert capabilities.ALL == (1 << 41) - 1


@given(st.sets(st.sampled_from(capabilities.NAMES)))
def test_names_and_bits_are_two_views_of_one_set(names: set[str]) -> None:
    assert set(capabilities.to_names(capabilities.to_bits(names))) == names


@pytest.mark.parametrize("name", ["CAP_MAGIC", "chown", "CHOWN", ""])
def test_an_unknown_name_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"unknown capability: {name}"):
        capabilities.to_bits([name])
