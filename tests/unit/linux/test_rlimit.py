from __future__ import annotations

import pytest

from minipod.linux import rlimit
from minipod.linux.rlimit import INFINITY, Limit


def test_json_numbers_become_limits() -> None:
    assert rlimit.limit("RLIMIT_NOFILE", 1, 2) == Limit("RLIMIT_NOFILE", 1, 2)
    assert rlimit.limit("RLIMIT_CORE", 2**64 - 1, 2**64 - 1) == Limit("RLIMIT_CORE", INFINITY, INFINITY)


@pytest.mark.parametrize("name", ["RLIMIT_MAGIC", "NOFILE", "RLIM_INFINITY", "setrlimit", ""])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="unknown resource limit"):
        rlimit.limit(name, 1, 1)
